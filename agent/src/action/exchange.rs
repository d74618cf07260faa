//! `exchange`: HTTP calls in order, until they hold. What they are answered is secret: it is compared, handed on to the next
//! call, and never told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use cavalcade_common::action::{Assert, Call, Covers, EACH, Exchange, ExchangeQuery, Part, parts};
use cavalcade_common::codes::{agent, server as codes};
use cavalcade_common::duration;
use cavalcade_common::error::Fault;
use cavalcade_common::report::{Evidence, Preview, Progress, Verdict};
use cavalcade_common::secret::{SecretBook, SecretValue};
use regex::Regex;
use zeroize::Zeroizing;

use super::database::revealed;
use super::{Act, Applied, Context, Failure};
use crate::database::run_query;
use crate::host::{HttpAnswer, HttpRequest};
use crate::ready::pattern;

/// Between two tries of the whole.
const POLL: Duration = Duration::from_secs(2);
/// How long one call may take.
const CALL_LIMIT: Duration = Duration::from_secs(20);
/// What is left of the time for a call that begins at its very end.
const LEAST: Duration = Duration::from_secs(10);
/// Most bytes of an answer's body: what is longer could not be judged whole, and does not hold.
const MOST: usize = 1 << 20;
/// The same for a call that collects: lists of thousands of APIs with their resources.
const MOST_OF_LISTS: usize = 16 << 20;
/// Digits of the largest number that is told as a count.
const COUNT_DIGITS: usize = 9;
/// Most missing values that evidence names.
const NAMED: usize = 5;

/// The patterns of a call, compiled.
struct Patterns {
    expect: Option<Regex>,
    forbid: Option<Regex>,
    capture: BTreeMap<String, Regex>,
    collect: BTreeMap<String, Regex>,
}

impl Patterns {
    fn of(call: &Call) -> Result<Self, Fault> {
        let all = |taken: &BTreeMap<String, String>| {
            taken.iter().map(|(name, p)| Ok((name.clone(), pattern(p)?))).collect::<Result<BTreeMap<_, _>, Fault>>()
        };
        Ok(Self {
            expect: call.expect.as_deref().map(pattern).transpose()?,
            forbid: call.forbid.as_deref().map(pattern).transpose()?,
            capture: all(&call.capture)?,
            collect: all(&call.collect)?,
        })
    }
}

/// One try of the whole: what was captured so far.
struct Try<'x> {
    cx: &'x Context,
    exchange: &'x Exchange,
    /// All secrets, the captured values too.
    book: SecretBook,
    captured: BTreeMap<String, SecretValue>,
    collected: BTreeMap<String, BTreeSet<String>>,
}

impl Try<'_> {
    /// The calls, up to the first that does not hold.
    async fn all(&mut self, patterns: &[Patterns], left: Duration) -> Result<Vec<Evidence>, Failure> {
        let began = self.cx.host.monotonic();
        let mut evidence: Vec<Evidence> = Vec::new();
        for (call, patterns) in self.exchange.calls.iter().zip(patterns) {
            let each = if call.each.is_empty() { vec![None] } else { call.each.iter().map(Some).collect() };
            for text in each {
                let left = left.saturating_sub(self.cx.host.monotonic().saturating_sub(began));
                let one = self.one(call, text, patterns, left).await?;
                let holds = one.holds;
                evidence.push(self.told(one));
                if !holds {
                    return Ok(evidence);
                }
            }
        }
        if let Some(query) = &self.exchange.query {
            evidence.push(self.confirmed(query).await?);
        }
        evidence.extend(self.exchange.covers.iter().map(|covers| self.told(self.covered(covers))));
        Ok(evidence)
    }

    /// One call, for one of the texts of its `each`.
    async fn one(
        &mut self,
        call: &Call,
        each: Option<&String>,
        patterns: &Patterns,
        left: Duration,
    ) -> Result<Evidence, Failure> {
        if let Some(text) = each {
            self.captured.insert(EACH.to_owned(), SecretValue::new(text.clone()));
        }
        let request = self.request(call)?;
        let answer = self.cx.host.http_request(&request, CALL_LIMIT.min(left.max(LEAST))).await;
        let (found, holds) = match answer {
            Ok(answer) => self.judge(call, patterns, &answer),
            Err(error) => (error.to_string(), false),
        };
        let of = each.map(|text| format!(" ({text})")).unwrap_or_default();
        Ok(Evidence { what: format!("{}{of}: {} {}", call.name, call.method.as_str(), call.url), found, holds })
    }

    fn told(&self, evidence: Evidence) -> Evidence {
        let Evidence { what, found, holds } = evidence;
        Evidence { what: self.book.redact(&what), found: self.book.redact(&found), holds }
    }

    /// A text with secrets and captured values in their places, each captured value changed by `form`.
    fn filled(&self, text: &str, form: impl Fn(&str) -> String) -> Result<SecretValue, Failure> {
        let mut out = Zeroizing::new(String::with_capacity(text.len()));
        for part in parts(text) {
            match part {
                // A captured value comes from a server: markers in it stay what they are.
                Part::Literal(literal) => {
                    let value = self.cx.secrets.reveal(literal);
                    out.push_str(value.map_err(|e| Fault::new(agent::SECRET_MISSING, e.to_string()))?.expose());
                }
                Part::Captured(name) => {
                    let missing = || Fault::new(codes::GATE_CLOSED, format!("no call before captured `{name}`"));
                    out.push_str(&Zeroizing::new(form(self.captured.get(name).ok_or_else(missing)?.expose())));
                }
            }
        }
        Ok(SecretValue::new(out.to_string()))
    }

    fn request(&mut self, call: &Call) -> Result<HttpRequest, Failure> {
        let plain = |value: &str| value.to_owned();
        let mut headers = Vec::new();
        for (name, value) in &call.headers {
            headers.push((name.clone(), self.filled(value, plain)?));
        }
        if let Some(basic) = &call.basic {
            let pair = self.filled(basic, plain)?;
            let encoded = SecretValue::new(base64(pair.expose().as_bytes()));
            headers.push(("Authorization".to_owned(), SecretValue::new(format!("Basic {}", encoded.expose()))));
            // A server that repeats its request tells parts of the pair.
            let halves = pair.expose().split_once(':').map(|(_, password)| SecretValue::new(password.to_owned()));
            for (number, part) in [Some(encoded), halves].into_iter().flatten().enumerate() {
                self.book.insert(format!("{} {number}", call.name), part);
            }
        }
        let mut body = match &call.body {
            Some(body) => self.filled(body, plain)?,
            None => SecretValue::new(String::new()),
        };
        if !call.form.is_empty() {
            let mut fields = Zeroizing::new(String::new());
            for (key, value) in &call.form {
                let value = self.filled(value, plain)?;
                let joint = if fields.is_empty() { "" } else { "&" };
                fields.push_str(&Zeroizing::new(format!("{joint}{}={}", encoded(key), encoded(value.expose()))));
            }
            body = SecretValue::new(fields.to_string());
            if !call.headers.keys().any(|h| h.eq_ignore_ascii_case("content-type")) {
                let form = SecretValue::new("application/x-www-form-urlencoded".to_owned());
                headers.push(("Content-Type".to_owned(), form));
            }
        }
        let url = self.filled(&call.url, encoded)?;
        Ok(HttpRequest { url, method: call.method, headers, body, insecure: call.insecure, most: most_of(call) + 1 })
    }

    /// What an answer shows, and whether it holds. Of a body only its length is told.
    fn judge(&mut self, call: &Call, patterns: &Patterns, answer: &HttpAnswer) -> (String, bool) {
        let found = format!("status {}, {} bytes", answer.status, answer.body.len());
        if !call.status.contains(&answer.status) {
            return (found, false);
        }
        let most = most_of(call);
        if answer.body.len() > most {
            return (format!("status {}, a body of more than {most} bytes", answer.status), false);
        }
        let body = Zeroizing::new(String::from_utf8_lossy(&answer.body).into_owned());
        if let Some(expect) = patterns.expect.as_ref().filter(|p| !p.is_match(&body)) {
            return (format!("{found}: the body does not match {:?}", expect.as_str()), false);
        }
        if let Some(forbid) = patterns.forbid.as_ref().filter(|p| p.is_match(&body)) {
            return (format!("{found}: the body matches {:?}, which it must not", forbid.as_str()), false);
        }
        for (name, pattern) in &patterns.capture {
            let value = pattern.captures(&body).and_then(|c| c.get(1)).map(|m| m.as_str()).filter(|v| !v.is_empty());
            let Some(value) = value else {
                return (format!("{found}: nothing in the body gives `{name}` ({:?})", pattern.as_str()), false);
            };
            self.book.insert(format!("captured {name}"), SecretValue::new(value.to_owned()));
            self.captured.insert(name.clone(), SecretValue::new(value.to_owned()));
        }
        for (name, pattern) in &patterns.collect {
            let values = pattern.captures_iter(&body).filter_map(|c| Some(c.get(1)?.as_str().to_owned()));
            self.collected.entry(name.clone()).or_default().extend(values);
        }
        (found, true)
    }

    /// Whether everything that one answer asks for stands in another one.
    fn covered(&self, Covers { what, wanted, among }: &Covers) -> Evidence {
        let none = BTreeSet::new();
        let [wanted, among] = [wanted, among].map(|name| self.collected.get(name).unwrap_or(&none));
        let missing: Vec<&str> = wanted.difference(among).map(String::as_str).collect();
        let says = format!("all {what} are there");
        match (wanted.len(), missing.len()) {
            // Whoever was asked may not know yet; nothing is no proof of everything.
            (0, _) => Evidence::fails(says, format!("no {what} were named that should be there")),
            (all, 0) => Evidence::holds(says, format!("{all} of {all}")),
            (all, absent) => {
                let more = if absent > NAMED { ", ..." } else { "" };
                let named = missing[..absent.min(NAMED)].join(", ");
                Evidence::fails(says, format!("{} of {all}; missing: {named}{more}", all - absent))
            }
        }
    }

    /// What the database says of a captured value.
    async fn confirmed(&self, query: &ExchangeQuery) -> Result<Evidence, Failure> {
        let ExchangeQuery { database, select, equals } = query;
        let what = format!("`{equals}` is what {} says", database.name);
        let missing = || Fault::new(codes::GATE_CLOSED, format!("no call captured `{equals}`"));
        let value = self.captured.get(equals).ok_or_else(missing)?;
        let target = revealed(self.cx, database)?;
        let assert = Assert {
            says: what.clone(),
            column: None,
            table: None,
            select: Some(select.clone()),
            equals: Some(value.expose().to_owned()),
            no_sessions: None,
        };
        let result = match run_query(&target, std::slice::from_ref(&assert), Duration::ZERO).await {
            Ok(results) => results.into_iter().next(),
            Err(error) => return Ok(self.told(Evidence::fails(what, error.to_string()))),
        };
        let tells = self.is_count(equals, value.expose());
        Ok(match result {
            Some(result) if result.holds && tells => Evidence::holds(what, format!("both say {}", value.expose())),
            Some(result) if result.holds => Evidence::holds(what, "they are equal"),
            Some(result) if tells => Evidence::fails(what, result.found.unwrap_or_default()),
            Some(_) | None => Evidence::fails(what, "the database says something else"),
        })
    }

    /// Whether a captured value is a number that is compared and opens nothing: no call sends it.
    fn is_count(&self, name: &str, value: &str) -> bool {
        let sent = |call: &Call| call.texts().flat_map(parts).any(|part| part == Part::Captured(name));
        value.len() <= COUNT_DIGITS && value.bytes().all(|b| b.is_ascii_digit()) && !self.exchange.calls.iter().any(sent)
    }
}

/// Most bytes of a body that are read.
fn most_of(call: &Call) -> usize {
    if call.collect.is_empty() { MOST } else { MOST_OF_LISTS }
}

/// Percent-encoded for a part of a URL or a form: everything but the unreserved characters (RFC 3986, 2.3).
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let padded = [chunk[0], chunk.get(1).copied().unwrap_or(0), chunk.get(2).copied().unwrap_or(0)];
        let [a, b, c] = padded.map(usize::from);
        let sextets = [a >> 2, (a & 3) << 4 | b >> 4, (b & 15) << 2 | c >> 6, c & 63];
        out.extend(sextets.iter().take(chunk.len() + 1).map(|s| char::from(LETTERS[*s])));
        out.extend(std::iter::repeat_n('=', 3 - chunk.len()));
    }
    out
}

fn patterns_of(exchange: &Exchange) -> Result<Vec<Patterns>, Fault> {
    exchange.calls.iter().map(Patterns::of).collect()
}

#[async_trait]
impl Act for Exchange {
    async fn inspect(&self, _cx: &Context) -> Result<Preview, Failure> {
        patterns_of(self)?;
        let names: Vec<&str> = self.calls.iter().map(|c| c.name.as_str()).collect();
        let says =
            format!("makes the calls {} and judges the answers, at most {}", names.join(", "), duration::format(self.within));
        // What the servers will answer is not known before they run.
        Ok(Preview { verdict: Verdict::Opaque, says, diffs: Vec::new() })
    }

    async fn apply(&self, cx: &Context) -> Result<Applied, Failure> {
        let patterns = patterns_of(self)?;
        let began = cx.host.monotonic();
        loop {
            let left = self.within.saturating_sub(cx.host.monotonic().saturating_sub(began));
            let mut one =
                Try { cx, exchange: self, book: (*cx.secrets).clone(), captured: BTreeMap::new(), collected: BTreeMap::new() };
            let evidence = one.all(&patterns, left).await?;
            let Some(bad) = evidence.iter().find(|e| !e.holds) else {
                return Ok(Applied { changed: self.changes, diffs: Vec::new(), evidence });
            };
            let elapsed = cx.host.monotonic().saturating_sub(began);
            if elapsed >= self.within {
                let code = if self.changes { codes::CALLS_FAILED } else { codes::GATE_CLOSED };
                let fault = Fault::new(code, format!("{}: {}", bad.what, bad.found));
                return Err(Failure::Failed { fault, changed: self.changes, evidence });
            }
            let waited = duration::format(Duration::from_secs(elapsed.as_secs()));
            let label = format!("tries for {waited}: {}: {}", bad.what, bad.found);
            cx.out.progress(Progress { done: 0, total: 0, label, quiet_seconds: 0 });
            tokio::time::sleep(POLL.min(self.within.saturating_sub(elapsed))).await;
        }
    }

    async fn verify(&self, _cx: &Context) -> Result<Vec<Evidence>, Failure> {
        // What `apply` saw is the evidence: calls leave nothing behind that could be looked at.
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_those_of_their_standards() {
        let samples = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|t| base64(t.as_bytes()));
        assert_eq!(samples, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
        assert_eq!(base64(&[0xfb, 0xff, 0xbf]), "+/+/");
        assert_eq!(encoded("a b&c=d/\u{e9}-._~"), "a%20b%26c%3Dd%2F%C3%A9-._~");
    }
}
