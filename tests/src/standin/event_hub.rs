//! The event hub of a control plane: it sends its events to each hub that its settings name, itself among them.

use std::sync::Arc;

use serde_json::json;

use super::{
    peer::Address,
    product::Kind,
    server::{Server, pause},
};

/// Connects to the receiver of each hub, and witnesses each that is reached. Gateways listen to one hub: what is not sent to
/// it they never hear.
pub fn publish(server: &Arc<Server>) {
    let boot = &server.boot;
    let is_hub = matches!(boot.launch.profile(), "default" | "control-plane");
    if boot.product.kind != Kind::ApiManager || !boot.product.is_new() || !is_hub {
        return;
    }
    for url in server.config.in_each("apim.event_hub.publish.url_group", "auth_urls") {
        let server = Arc::clone(server);
        tokio::spawn(async move {
            let Some(hub) = Address::of_url(&url) else { return };
            while hub.connect().await.is_err() {
                pause(server.boot.settings.waiting_interval.max(0.01)).await;
            }
            if let Err(error) = server.boot.witness.record("hub-reached", json!({"url": url})) {
                server.boot.log.error("org.wso2.carbon.databridge.agent.endpoint.DataEndpointGroup", &format!("{error:#}"));
            }
        });
    }
}
