//! The whole product in one process: the controller's daemon with its SQLite journal, TLS, and an agent with its ledger.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::ensure;
use cavalcade_agent::daemon::{AgentConfig, enrol_host};
use cavalcade_agent::link::dial::Address;
use cavalcade_common::token::EnrolmentToken;
use cavalcade_controller::daemon::{ServeConfig, serve};
use cavalcade_controller::operate::request::{StatusRequest, TokenAnswer, TokenRequest};
use cavalcade_controller::rpc::client::OperatorClient;
use cavalcade_controller::rpc::method::Method;
use cavalcade_controller::view::document::Status;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::AbortHandle;

use crate::{one_node, ports};

/// A controller and the agent of [`one_node::HOST`], up and connected; both end when it is dropped.
pub struct Product {
    /// The operator's socket.
    pub client: OperatorClient,
    /// State folder of the controller.
    pub controller_dir: PathBuf,
    /// State folder of the agent.
    pub agent_dir: PathBuf,
    tasks: [AbortHandle; 2],
}

impl Drop for Product {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Where the controller listens.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 10, 3);

impl Product {
    /// Starts both in a folder, enrols the agent and waits until it is connected.
    ///
    /// # Errors
    /// One of them does not come up.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        let (controller_dir, agent_dir) = (folder.join("controller"), folder.join("agent"));
        let (agents, enrol) = ports::free(ADDRESS)?;
        let (agents, enrol) = (SocketAddr::from((ADDRESS, agents)), SocketAddr::from((ADDRESS, enrol)));
        let config =
            ServeConfig { state_dir: controller_dir.clone(), agents, enrol, names: vec![ADDRESS.to_string()], operators: None };
        let controller = tokio::spawn(serve(config)).abort_handle();
        let client = connected(&controller_dir).await?;

        let request = TokenRequest { host: one_node::HOST.to_owned(), ttl_seconds: None };
        let token: TokenAnswer = ask_of(&client, Method::TokenCreate, &request).await?;
        enrol_host(&EnrolmentToken::read(&token.token)?, &enrol.to_string().parse::<Address>()?, &agent_dir).await?;
        let config = AgentConfig { state_dir: agent_dir.clone(), controller: agents.to_string().parse()? };
        let agent = tokio::spawn(cavalcade_agent::daemon::run(config)).abort_handle();
        let product = Self { client, controller_dir, agent_dir, tasks: [controller, agent] };
        product.until(|status| status.hosts.iter().any(|h| h.connected)).await?;
        Ok(product)
    }

    /// Asks or orders something.
    ///
    /// # Errors
    /// The controller's fault.
    pub async fn ask<A: DeserializeOwned>(&self, method: Method, request: &impl Serialize) -> anyhow::Result<A> {
        ask_of(&self.client, method, request).await
    }

    /// Waits until a status document shows this.
    ///
    /// # Errors
    /// It does not within five minutes.
    pub async fn until(&self, holds: impl Fn(&Status) -> bool) -> anyhow::Result<Status> {
        let began = Instant::now();
        loop {
            let status: Status = self.ask(Method::Status, &StatusRequest::default()).await?;
            if holds(&status) {
                return Ok(status);
            }
            ensure!(began.elapsed() < Duration::from_secs(300), "it takes too long: {status:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn ask_of<A: DeserializeOwned>(client: &OperatorClient, method: Method, request: &impl Serialize) -> anyhow::Result<A> {
    Ok(serde_json::from_value(client.call(method, &serde_json::to_value(request)?).await?)?)
}

async fn connected(state_dir: &Path) -> anyhow::Result<OperatorClient> {
    let began = Instant::now();
    loop {
        match OperatorClient::connect(state_dir).await {
            Ok(client) => return Ok(client),
            Err(fault) => ensure!(began.elapsed() < Duration::from_secs(120), "the controller does not come up: {fault}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
