//! What the management transports (9443, 9763) answer.

use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    apis, database,
    http::{Request, Response},
    product::Kind,
    server::Server,
};

/// Answers one request.
pub async fn answer(server: &Server, request: &Request) -> Response {
    match server.boot.product.kind {
        // Its pack leaves the Version service out.
        Kind::IdentityServer => identity_server(server, request).await,
        Kind::ApiManager if request.path.starts_with("/services/Version") => version(server),
        Kind::ApiManager => api_manager(server, request).await,
    }
}

/// Answers as soon as the transports are up: before migrations, before any API.
fn version(server: &Server) -> Response {
    let product = &server.boot.product;
    let body = format!(
        "<ns:getVersionResponse xmlns:ns=\"http://version.services.core.carbon.wso2.org\"><return>{}-{}</return></ns:getVersionResponse>",
        product.full_name(),
        product.version
    );
    Response { status: 200, content_type: "text/xml", body: body.into_bytes() }
}

async fn identity_server(server: &Server, request: &Request) -> Response {
    match request.path.as_str() {
        "/api/health-check/v1.0/health" => health(server).await,
        "/oauth2/token" if request.method == "POST" => {
            if server.boot.product.is_new() && server.keys.signing_bits < 2048 {
                return too_weak(server);
            }
            token(request)
        }
        "/oauth2/introspect" if request.method == "POST" => introspect(request),
        path if path.starts_with("/keymanager-operations/") => keymanager_operations(server, request),
        _ => Response::empty(404),
    }
}

/// Off by default, and then it answers 200 without a body: only a body says that it looked.
async fn health(server: &Server) -> Response {
    if server.config.flag("carbon_health_check.enable") != Some(true) {
        return Response::empty(200);
    }
    let mut health = Vec::new();
    let mut errors = Vec::new();
    for name in ["identity_db", "shared_db"] {
        let Some(table) = server.config.database(name).filter(|table| table.engine == "mysql") else { continue };
        match database::connect(&table).await {
            Ok(_connection) => health.push(json!({"key": format!("{name}.connection.time"), "value": "1"})),
            Err(error) => errors.push(json!({"code": "HC_00003", "message": error.to_string()})),
        }
    }
    if errors.is_empty() {
        Response::json(200, &json!({ "health": health }))
    } else {
        Response::json(503, &json!({ "errors": errors }))
    }
}

/// From 5.11.0 on a token is signed with RS256, which takes no key below 2048 bits.
fn too_weak(server: &Server) -> Response {
    let message = "The RSA key size must be at least 2048 bits";
    server
        .boot
        .log
        .error("org.wso2.carbon.identity.oauth2.token.JWTTokenIssuer", &format!("Error occurred while signing JWT: {message}"));
    Response::json(500, &json!({"error": "server_error", "error_description": message}))
}

/// Any application and any user: a client that says who it is gets a token.
fn token(request: &Request) -> Response {
    if !request.has_authorization("Basic") && request.field("client_id").is_none() {
        return Response::json(401, &json!({"error": "invalid_client", "error_description": "Client Authentication failed."}));
    }
    let grant = request.field("grant_type").unwrap_or_default();
    if !matches!(grant.as_str(), "client_credentials" | "password") {
        return Response::json(400, &json!({"error": "unsupported_grant_type"}));
    }
    let mut answer = json!({"access_token": new_token(), "scope": "default", "token_type": "Bearer", "expires_in": 3600});
    if let (true, Value::Object(answer)) = (grant == "password", &mut answer) {
        answer.insert("refresh_token".to_owned(), json!(new_token()));
    }
    Response::json(200, &answer)
}

fn introspect(request: &Request) -> Response {
    if !request.has_authorization("Basic") && !request.has_authorization("Bearer") {
        return Response::empty(401);
    }
    let active = request.field("token").is_some_and(|token| is_token(&token));
    if active {
        let scope = "am_application_scope default";
        Response::json(200, &json!({"active": true, "scope": scope, "token_type": "Bearer", "username": "admin@carbon.super"}))
    } else {
        Response::json(200, &json!({"active": false}))
    }
}

/// Tokens carry their own proof, so that every Identity Server of a fleet knows those of the others.
fn new_token() -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{random}{}", proof(&random))
}

/// Whether a token was issued by a stand-in.
#[must_use]
pub fn is_token(token: &str) -> bool {
    token.len() == 40 && token.is_ascii() && proof(&token[..32]) == token[32..]
}

fn proof(random: &str) -> String {
    hex::encode(&Sha256::digest(format!("stand-in token {random}"))[..4])
}

/// The web application of the connector.
fn keymanager_operations(server: &Server, request: &Request) -> Response {
    if !has_webapp(&server.boot.launch.home, "keymanager-operations.war") {
        return Response::empty(404);
    }
    if !request.headers.contains_key("authorization") {
        return Response::empty(401);
    }
    Response::json(200, &json!({"list": []}))
}

async fn api_manager(server: &Server, request: &Request) -> Response {
    let home = &server.boot.launch.home;
    let path = request.path.trim_end_matches('/');
    match path {
        "/api/am/publisher/v2/apis" | "/api/am/publisher/v1/apis" if has_webapp(home, "api#am#publisher.war") => {
            if !request.headers.contains_key("authorization") {
                return Response::empty(401);
            }
            listing(server, request).await
        }
        "/api/am/devportal/v2/apis" | "/api/am/store/v1/apis" if has_webapp(home, "api#am#devportal.war") => {
            listing(server, request).await
        }
        "/internal/data/v1/apis" if has_webapp(home, "internal#data#v1.war") => {
            if !request.has_authorization("Basic") {
                return Response::empty(401);
            }
            wanted(server, request).await
        }
        "/services/RestApiAdmin" if request.method == "POST" && server.boot.product.serves_apis(server.boot.launch.profile()) => {
            if !request.has_authorization("Basic") {
                return Response::empty(401);
            }
            served(server, request)
        }
        "/api/am/gateway/v2/server-startup-healthcheck"
            if server.boot.settings.gateway_healthcheck && has_webapp(home, "api#am#gateway#v2.war") =>
        {
            let deployed = server.deployed.lock().map_or(0, |deployed| deployed.len());
            if deployed > 0 { Response::json(200, &json!({"status": "active"})) } else { Response::empty(503) }
        }
        _ => Response::empty(404),
    }
}

/// What a gateway is told to deploy: all, or those of one label and tenant.
async fn wanted(server: &Server, request: &Request) -> Response {
    let mut list = match apis::deployments(server).await {
        Ok(list) => list,
        Err(error) => return Response::json(503, &json!({"message": error.to_string()})),
    };
    if let Some(label) = request.field("gatewayLabel") {
        let Some(tenant) = request.headers.get("xwso2tenant") else { return Response::empty(400) };
        let label = label.replace("%20", " ");
        list.retain(|api| api.label == label && api.tenant() == tenant);
    }
    Response::json(200, &json!({ "list": list }))
}

/// The admin service of the mediation engine: what is deployed for the super tenant, with what the pack itself ships.
fn served(server: &Server, request: &Request) -> Response {
    if !String::from_utf8_lossy(&request.body).contains("getAPIsForListing>") {
        return Response::empty(500);
    }
    let deployed = server.deployed.lock().map(|deployed| deployed.clone()).unwrap_or_default();
    let own = deployed.iter().filter(|api| api.tenant() == apis::SUPER_TENANT);
    let shipped = [("_TokenAPI_".to_owned(), "/token".to_owned()), ("_RevokeAPI_".to_owned(), "/revoke".to_owned())];
    let named = own.map(|api| (format!("admin--{}:v{}", api.name, api.version), api.context.clone())).chain(shipped);
    let returns = named.map(|(name, context)| {
        format!("<ns:return xsi:type=\"ax2:APIData\"><ax2:context>{context}</ax2:context><ax2:name>{name}</ax2:name></ns:return>")
    });
    let body = format!(
        "<soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\"><soapenv:Body>\
         <ns:getAPIsForListingResponse xmlns:ns=\"http://service.api.rest.carbon.wso2.org\">{}</ns:getAPIsForListingResponse>\
         </soapenv:Body></soapenv:Envelope>",
        returns.collect::<String>()
    );
    Response { status: 200, content_type: "text/xml", body: body.into_bytes() }
}

/// The APIs that the index knows of a tenant: none before the registry was indexed again. The tenant is named by a header, since
/// accounts are not told apart here.
async fn listing(server: &Server, request: &Request) -> Response {
    match apis::visible(server, request.headers.get("x-wso2-tenant").map(String::as_str)).await {
        Ok(list) => {
            let total = list.len();
            Response::json(200, &json!({"count": total, "list": list, "pagination": {"total": total, "offset": 0}}))
        }
        Err(error) => Response::json(503, &json!({"message": error.to_string()})),
    }
}

fn has_webapp(home: &Path, name: &str) -> bool {
    home.join("repository/deployment/server/webapps").join(name).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_ours_is_known_and_others_are_not() {
        let token = new_token();
        assert!(is_token(&token));
        assert!(!is_token("old-token-1"));
        assert!(!is_token(&format!("{}00000000", &token[..32])));
    }

    #[test]
    fn a_token_needs_a_client_and_a_grant() {
        let mut request = Request { method: "POST".to_owned(), path: "/oauth2/token".to_owned(), ..Request::default() };
        request.body = b"grant_type=client_credentials".to_vec();
        assert_eq!(token(&request).status, 401);
        request.headers.insert("authorization".to_owned(), "Basic YTpi".to_owned());
        assert_eq!(token(&request).status, 200);
        request.body = b"grant_type=magic".to_vec();
        assert_eq!(token(&request).status, 400);
    }
}
