//! Servers, jobs, gates.

super::codes! {
    NOT_READY = 3301, "the server did not become ready in time",
        cause: "The process runs or ran, but log line, health answer or port did not come within the time allowed.",
        certain: "The server was started at most once.", unknown: "Whether it would become ready later.",
        remedy: "Read its log with `cavalcade logs --node NODE`, then `cavalcade retry STEP`.";
}
