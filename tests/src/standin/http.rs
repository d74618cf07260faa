//! The little of HTTP/1.1 that the stand-ins speak: one request a connection.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

/// Longest request head and body, in bytes.
const LIMIT: usize = 64 * 1024;

/// A request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// `GET` ...
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// What follows the question mark.
    pub query: String,
    /// Header names in small letters.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// 200 ...
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// A JSON answer.
    #[must_use]
    pub fn json(status: u16, value: &serde_json::Value) -> Self {
        Self { status, content_type: "application/json", body: value.to_string().into_bytes() }
    }

    /// An answer without a body.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self { status, content_type: "text/plain", body: Vec::new() }
    }
}

impl Request {
    /// Whether there is an `Authorization` of this scheme.
    #[must_use]
    pub fn has_authorization(&self, scheme: &str) -> bool {
        self.headers.get("authorization").is_some_and(|value| {
            value.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)) && value.len() > scheme.len() + 1
        })
    }

    /// A field of the query or of a form body, not decoded.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        let body = String::from_utf8_lossy(&self.body).into_owned();
        let all = [self.query.clone(), body].join("&");
        all.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()))
    }
}

/// Reads one request.
///
/// # Errors
///
/// When the peer speaks something else, too much, or nothing for 60 s.
pub async fn receive<S: AsyncRead + Unpin>(stream: &mut S) -> anyhow::Result<Request> {
    timeout(Duration::from_secs(60), read_request(stream)).await?
}

/// Answers a request and closes.
///
/// # Errors
///
/// When the peer has gone.
pub async fn reply<S: AsyncWrite + Unpin>(mut stream: S, request: &Request, response: &Response) -> anyhow::Result<()> {
    let head = format!(
        "HTTP/1.1 {} {}\r\nServer: WSO2 Carbon Server\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        response.status,
        reason(response.status),
        response.content_type,
        response.body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    if request.method != "HEAD" {
        stream.write_all(&response.body).await?;
    }
    stream.flush().await?;
    stream.shutdown().await?;
    Ok(())
}

async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> anyhow::Result<Request> {
    let (head, rest) = read_head(stream).await?;
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else { bail!("no request line") };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers.get("content-length").map_or(Ok(0), |length| length.parse())?;
    if length > LIMIT {
        bail!("a body of {length} bytes");
    }
    let mut body = rest;
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            bail!("the body ended early");
        }
    }
    body.truncate(length);
    Ok(Request { method: method.to_owned(), path: path.to_owned(), query: query.to_owned(), headers, body })
}

/// Reads up to the empty line; returns the head and what came after it.
async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> anyhow::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            bytes.truncate(end);
            return Ok((String::from_utf8(bytes)?, rest));
        }
        if bytes.len() > LIMIT {
            bail!("a head of more than {LIMIT} bytes");
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            bail!("the connection ended within the head");
        }
    }
}

/// Sends a request with `Connection: close` and reads status and body to the end of the connection.
///
/// # Errors
///
/// When the peer does not answer in HTTP.
pub async fn ask<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, head: &str, body: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    stream.flush().await?;
    let (head, mut rest) = read_head(&mut stream).await?;
    let status = head.split(' ').nth(1).context("no status line")?.parse()?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok());
    while length.is_none_or(|length| rest.len() < length) && stream.read_buf(&mut rest).await? > 0 {}
    Ok((status, rest))
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_goes_there_and_its_answer_back() {
        let (near, mut far) = tokio::io::duplex(256);
        let server = tokio::spawn(async move {
            let request = receive(&mut far).await.unwrap();
            assert!(request.has_authorization("basic"));
            let words = serde_json::json!([request.method, request.path, request.field("a"), request.field("b")]);
            reply(far, &request, &Response::json(200, &words)).await.unwrap();
        });
        let head = "POST /x?a=1 HTTP/1.1\r\nHost: h\r\nAuthorization: Basic eDp5\r\nContent-Length: 3\r\n\r\n";
        let (status, body) = ask(near, head, b"b=2").await.unwrap();
        assert_eq!((status, body.as_slice()), (200, br#"["POST","/x","1","2"]"#.as_slice()));
        server.await.unwrap();
    }

    #[tokio::test]
    async fn what_is_not_http_is_an_error() {
        let (mut near, mut far) = tokio::io::duplex(256);
        near.write_all(b"\x16\x03\x01 hello").await.unwrap();
        drop(near);
        assert!(receive(&mut far).await.is_err());
    }
}
