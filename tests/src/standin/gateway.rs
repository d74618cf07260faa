//! What an API Manager needs of others when it starts, and what its gateway answers.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::{
    config::Config,
    endpoints::is_token,
    http::{Request, Response},
    jvm::Boot,
    peer::Address,
    product::Kind,
    server::{Server, pause},
};

const KEY_MANAGER: &str = "org.wso2.carbon.apimgt.impl.AMDefaultKeyManagerImpl";
const JMS: &str = "org.wso2.carbon.apimgt.jms.listener.utils.JMSListener";

/// Asks the Key Manager that `[apim.key_manager] service_url` names. Without an answer API-M logs errors, starts all the
/// same, and never works.
///
/// # Errors
///
/// When the witness cannot be written.
pub async fn key_manager_answers(boot: &Boot, config: &Config) -> anyhow::Result<bool> {
    if boot.product.kind != Kind::ApiManager {
        return Ok(true);
    }
    let Some(url) = config.text("apim.key_manager.service_url") else { return Ok(true) };
    let mut last = format!("{url} is no URL");
    if let Some(address) = Address::of_url(&url) {
        for _attempt in 0..3 {
            match address.ask("POST", "/oauth2/introspect", &["Authorization: Basic YTpi".to_owned()], "token=none").await {
                Ok((200, body)) if String::from_utf8_lossy(&body).contains("active") => {
                    boot.witness.record("is-answered", json!({"service_url": url}))?;
                    return Ok(true);
                }
                Ok((status, _)) => last = format!("HTTP {status}, and no introspection"),
                Err(error) => last = format!("{error:#}"),
            }
            sleep(Duration::from_millis(200)).await;
        }
    }
    let message = "Error while retrieving the resident Key Manager's configuration";
    boot.log.exception(KEY_MANAGER, message, &format!("org.wso2.carbon.apimgt.api.APIManagementException: {last}"), &[]);
    boot.log.error("org.wso2.carbon.apimgt.gateway.InMemoryAPIDeployer", "Error while deploying APIs: no Key Manager");
    boot.witness.record("started-without-is", json!({"service_url": url, "error": last}))?;
    Ok(false)
}

/// A gateway does not finish its start before a broker of those who throttle for it and one of the event hub can be reached.
///
/// # Errors
///
/// When the witness cannot be written.
pub async fn wait_for_brokers(server: &Server) -> anyhow::Result<()> {
    let boot = &server.boot;
    if !boot.product.serves_apis(boot.launch.profile()) {
        return Ok(());
    }
    for url in server.config.in_each("apim.throttling.url_group", "traffic_manager_auth_urls") {
        let reached = match Address::of_url(&url) {
            Some(address) => address.connect().await.is_ok(),
            None => false,
        };
        if !reached {
            let publisher = "org.wso2.carbon.databridge.agent.endpoint.DataEndpointConnectionWorker";
            boot.log.error(publisher, &format!("Cannot borrow client for {url}."));
        }
    }
    let keys = ["apim.throttling.throttle_decision_endpoints", "apim.event_hub.event_listening_endpoints"];
    let [mut throttling, hub] = keys.map(|key| server.config.texts(key));
    if boot.product.is_new() && boot.launch.profile() == "gateway-worker" && throttling.is_empty() {
        // Whatever is known of the event hub, the product looks for throttling in its own process, where this profile starts none.
        let message = "Error while connecting to the throttle decision endpoints: none is configured";
        boot.log.error(JMS, message);
        boot.witness.record("without-brokers", json!({}))?;
        if boot.settings.strict {
            throttling.push(format!("tcp://localhost:{}", server.port(5672).unwrap_or(5672)));
        }
    }
    for endpoints in [throttling, hub] {
        while !endpoints.is_empty() && !any_answers(&endpoints).await {
            let what = "Unable to continue server startup as it seems the JMS Provider is not yet started.";
            boot.log.warn(JMS, &format!("JMSListener {what} Please start the JMS provider now."));
            pause(boot.settings.waiting_interval.max(0.01)).await;
        }
    }
    Ok(())
}

async fn any_answers(urls: &[String]) -> bool {
    for url in urls {
        if let Some(address) = Address::of_url(url)
            && address.connect().await.is_ok()
        {
            return true;
        }
    }
    false
}

/// One call through the gateway.
pub async fn answer(server: &Server, request: &Request) -> Response {
    let api = server.deployed.lock().ok().and_then(|deployed| {
        let found = deployed.iter().find(|api| {
            request.path.strip_prefix(api.context.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        found.cloned()
    });
    let Some(api) = api else {
        return Response::json(404, &json!({"code": "404", "type": "Status report", "message": "Not Found"}));
    };
    let token = request.headers.get("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let Some(token) = token else {
        return Response::json(401, &json!({"code": "900902", "message": "Missing Credentials"}));
    };
    if knows(server, token.trim()).await {
        Response::json(200, &json!({"api": api.name, "version": api.version, "path": request.path}))
    } else {
        Response::json(401, &json!({"code": "900901", "message": "Invalid Credentials"}))
    }
}

/// Whether the Key Manager knows a token.
async fn knows(server: &Server, token: &str) -> bool {
    let Some(url) = server.config.text("apim.key_manager.service_url") else { return is_token(token) };
    let Some(address) = Address::of_url(&url) else { return false };
    let headers = ["Authorization: Basic c3RhbmQ6aW4=".to_owned(), "Content-Type: application/x-www-form-urlencoded".to_owned()];
    let answer = address.ask("POST", "/oauth2/introspect", &headers, &format!("token={token}")).await;
    answer.is_ok_and(|(status, body)| {
        let active = serde_json::from_slice::<serde_json::Value>(&body).is_ok_and(|answer| answer["active"] == json!(true));
        status == 200 && active
    })
}
