//! Which product a home holds, and the ports that it opens.

use std::path::Path;

use anyhow::{Context as _, bail};

/// A product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// WSO2 Identity Server, as Key Manager too.
    IdentityServer,
    /// WSO2 API Manager.
    ApiManager,
}

/// What a home holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// The product.
    pub kind: Kind,
    /// `5.11.0` ...
    pub version: String,
}

/// What listens on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// The management transport with TLS.
    Https,
    /// The management transport without.
    Http,
    /// APIs with TLS.
    GatewayHttps,
    /// APIs without.
    GatewayHttp,
    /// Message broker, data receivers, WebSockets: taken and held, no word spoken.
    Silent,
}

impl Product {
    /// Reads `bin/version.txt`. That of IS as Key Manager 5.10.0 reads like plain Identity Server.
    ///
    /// # Errors
    ///
    /// When the file is missing or names no product of ours.
    pub fn of_home(home: &Path) -> anyhow::Result<Self> {
        let file = home.join("bin/version.txt");
        let text = std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        let Some((name, version)) = text.trim().rsplit_once(" v") else { bail!("{} names no version", file.display()) };
        let kind = match name {
            "WSO2 Identity Server" => Kind::IdentityServer,
            "WSO2 API Manager" => Kind::ApiManager,
            other => bail!("{other} has no stand-in"),
        };
        Ok(Self { kind, version: version.to_owned() })
    }

    /// Whether it is a product of the version that is upgraded to.
    #[must_use]
    pub fn is_new(&self) -> bool {
        matches!(self.version.as_str(), "5.11.0" | "4.0.0")
    }

    /// `wso2is` or `wso2am`.
    #[must_use]
    pub fn short_name(&self) -> &'static str {
        match self.kind {
            Kind::IdentityServer => "wso2is",
            Kind::ApiManager => "wso2am",
        }
    }

    /// `WSO2 Identity Server` or `WSO2 API Manager`.
    #[must_use]
    pub fn full_name(&self) -> &'static str {
        match self.kind {
            Kind::IdentityServer => "WSO2 Identity Server",
            Kind::ApiManager => "WSO2 API Manager",
        }
    }

    /// Whether this profile serves APIs.
    #[must_use]
    pub fn serves_apis(&self, profile: &str) -> bool {
        self.kind == Kind::ApiManager && matches!(profile, "default" | "gateway-worker")
    }

    /// The ports of a profile, without the offset. A profile that the product does not know runs as the whole product.
    #[must_use]
    pub fn ports(&self, profile: &str) -> Vec<(u16, Listener)> {
        let mut ports = vec![(9443, Listener::Https), (9763, Listener::Http)];
        if self.kind == Kind::IdentityServer {
            return ports;
        }
        let (gateway, traffic) = match profile {
            "gateway-worker" => (true, false),
            "traffic-manager" | "control-plane" => (false, true),
            "api-publisher" | "api-devportal" | "api-key-manager" => (false, false),
            _ => (true, true),
        };
        if gateway {
            ports.extend([
                (8280, Listener::GatewayHttp),
                (8243, Listener::GatewayHttps),
                (9099, Listener::Silent),
                (8099, Listener::Silent),
            ]);
        }
        if traffic {
            ports.extend([(5672, Listener::Silent), (9611, Listener::Silent), (9711, Listener::Silent)]);
        }
        ports
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_profile_opens_everything() {
        let product = Product { kind: Kind::ApiManager, version: "4.0.0".to_owned() };
        assert_eq!(product.ports("gateway"), product.ports("default"));
        assert_eq!(product.ports("default").len(), 9);
        assert!(!product.ports("gateway-worker").iter().any(|(port, _)| *port == 5672));
    }
}
