//! Link, certificates, tokens.

super::codes! {
    TOKEN_REFUSED = 2001, "the enrolment token was refused",
        cause: "The token is unknown, used, expired or made for another host.",
        certain: "The agent got no certificate.", unknown: "Which of the causes it was: a stranger is not told.",
        remedy: "Make a new token with `cavalcade token create --host HOST` and enrol again.";
}
