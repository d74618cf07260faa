//! The ports of a server: taken on all interfaces, as the real ones are.

use std::sync::Arc;

use anyhow::Context as _;
use rustls::{ServerConfig, crypto::ring};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use super::{endpoints, gateway, http, product::Listener, server::Server};

const TOMCAT: &str = "org.wso2.carbon.tomcat.internal.CarbonTomcat";

/// Opens the ports of the profile. A port that is taken is an error in the log and nothing else: the kernel catches it, and
/// the server starts without that transport.
///
/// # Errors
///
/// When no certificate can be made or the witness cannot be written.
pub async fn open(server: &Arc<Server>) -> anyhow::Result<()> {
    let acceptor = TlsAcceptor::from(Arc::new(own_certificate(server)?));
    for (port, listener) in server.ports() {
        match TcpListener::bind(("0.0.0.0", port)).await {
            Ok(socket) => {
                tokio::spawn(accept(Arc::clone(server), socket, listener, acceptor.clone()));
            }
            Err(error) => {
                server.boot.log.exception(
                    TOMCAT,
                    "LifeCycleException while starting tomcat connector",
                    &format!("java.net.BindException: {error} <null>:{port}"),
                    &["org.apache.tomcat.util.net.NioEndpoint.bind(NioEndpoint.java)"],
                );
                server.boot.witness.record("port-in-use", json!({"port": port}))?;
            }
        }
    }
    Ok(())
}

async fn accept(server: Arc<Server>, socket: TcpListener, listener: Listener, acceptor: TlsAcceptor) {
    loop {
        // A failed accept is that of one peer (or of a full table of files): the next one may go well.
        let Ok((stream, _from)) = socket.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let (server, acceptor) = (Arc::clone(&server), acceptor.clone());
        // A peer that speaks nonsense or leaves is no matter of the server's.
        tokio::spawn(async move {
            let _ended = talk(&server, stream, listener, &acceptor).await;
        });
    }
}

async fn talk(server: &Arc<Server>, stream: TcpStream, listener: Listener, acceptor: &TlsAcceptor) -> anyhow::Result<()> {
    match listener {
        Listener::Https | Listener::GatewayHttps => converse(server, acceptor.accept(stream).await?, listener).await,
        Listener::Http | Listener::GatewayHttp => converse(server, stream, listener).await,
        Listener::Silent => {
            let mut sink = tokio::io::sink();
            let mut stream = stream;
            // Held until the peer goes.
            tokio::io::copy(&mut stream, &mut sink).await?;
            Ok(())
        }
    }
}

async fn converse<S>(server: &Arc<Server>, mut stream: S, listener: Listener) -> anyhow::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = http::receive(&mut stream).await?;
    let response = match listener {
        Listener::GatewayHttps | Listener::GatewayHttp => gateway::answer(server, &request).await,
        Listener::Https | Listener::Http | Listener::Silent => endpoints::answer(server, &request).await,
    };
    http::reply(stream, &request, &response).await
}

fn own_certificate(server: &Server) -> anyhow::Result<ServerConfig> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    names.extend(server.config.text("server.hostname").filter(|name| !name.is_empty() && name != "localhost"));
    let made = rcgen::generate_simple_self_signed(names).context("no certificate for these names")?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    Ok(config)
}
