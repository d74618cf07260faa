//! Link, certificates, tokens.

super::codes! {
    TOKEN_REFUSED = 2001, "the enrolment token was refused",
        cause: "The token is unknown, used, expired or made for another host.",
        certain: "The agent got no certificate.", unknown: "Which of the causes it was: a stranger is not told.",
        remedy: "Make a new token with `cavalcade token create --host HOST` and enrol again.";
    ENROLMENT_BUSY = 2002, "too many refused enrolments from this address",
        cause: "Several tokens from this address were refused within a minute.",
        certain: "The token was not looked at and is as good as before.", unknown: "Who tried the refused ones.",
        remedy: "Wait a minute and enrol again; if nobody of yours tried, look at the controller's log for the address.";
    WRONG_CONTROLLER = 2003, "the server is not the controller of the token",
        cause: "The server showed another CA than the one whose pin is in the token, or a certificate for another name.",
        certain: "The token's secret was not sent; the agent has no certificate.",
        unknown: "Whether the address is wrong, the controller was set up anew, or someone stands in between.",
        remedy: "Check the address. After a new set-up of the controller make new tokens. A name that the certificate lacks is added to the controller's listen names.";
    ALREADY_ENROLLED = 2004, "this agent is enrolled already",
        cause: "The state folder holds an identity.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Start the agent. To enrol anew, stop it and use a new state folder: the old one holds its ledger.";
    NOT_ENROLLED = 2005, "this agent is not enrolled",
        cause: "The state folder holds no identity.",
        certain: "Nothing was started.", unknown: "Whether --state names the right folder.",
        remedy: "Enrol it with a token of `cavalcade token create`, or name its folder with --state.";
    IDENTITY_DAMAGED = 2006, "the agent's identity cannot be used",
        cause: "The identity file is damaged, readable by others, or its certificate and key do not belong together.",
        certain: "Nothing was started or changed.", unknown: "Who changed the file.",
        remedy: "Restore the file with mode 0600, or enrol the agent anew with a new token.";
    ENROLMENT_ANSWER = 2007, "the controller's answer to the enrolment cannot be used",
        cause: "The certificate is not from the token's CA, not for this host or not for this agent's key.",
        certain: "The token is used; the agent stored nothing.", unknown: "Nothing.",
        remedy: "Make a new token and enrol again; if it comes back, compare the versions of both programs.";
    CSR_REFUSED = 2008, "the certificate request was refused",
        cause: "The request is no PKCS#10 request signed by its own key, or its key is of a kind that is not accepted.",
        certain: "No certificate was issued; the token was not looked at.", unknown: "Nothing.",
        remedy: "Enrol with an agent of the controller's version.";
    WIRE = 2010, "a message of the link is malformed",
        cause: "The peer sent a message with a missing field, an unknown value, a bad name or parts out of order.",
        certain: "The message was not used and the session was ended; both sides resend what was not acked.",
        unknown: "Whether the peer is another version or hostile.",
        remedy: "Compare the versions of both programs. If they are equal, treat the host as suspect and look at its agent.";
    TOO_LARGE = 2011, "a message of the link is too large",
        cause: "A message is beyond 256 KiB in one piece or 16 MiB in parts.",
        certain: "The message was not used and the session was ended.", unknown: "Nothing.",
        remedy: "Look at the log for the message's kind; make the step smaller (fewer files in one edit, fewer steps in one preview).";
    UNREACHABLE = 2012, "the controller cannot be reached over the network",
        cause: "The address does not resolve, nothing listens there, or a firewall drops the packets.",
        certain: "Nothing was sent. Work under way on this host goes on.", unknown: "Which of the causes it is.",
        remedy: "Check address and port from this host; the agent tries again by itself.";
    TLS_REFUSED = 2013, "the encrypted connection was refused",
        cause: "A certificate is expired, not yet valid, of another CA, for another name or for another use.",
        certain: "No message was exchanged.", unknown: "Nothing beyond the reason given.",
        remedy: "Compare the clocks of both hosts and the dates in the certificate; enrol again if the CA is a new one.";
    REVOKED = 2014, "this agent's certificate is revoked",
        cause: "A person revoked the host, or a newer enrolment of the same host replaced this certificate.",
        certain: "The controller takes nothing from this agent. A job under way on this host goes on.",
        unknown: "What the job's outcome is, for the controller.",
        remedy: "If the host is to take part again, enrol it with a new token.";
    LINK_LOST = 2015, "the link to the peer is lost",
        cause: "The connection broke, or the peer did not answer for 20 seconds.",
        certain: "Nothing acked is lost; work under way goes on.", unknown: "Whether the last unacked messages arrived.",
        remedy: "None is needed: the agent connects again and both sides compare their attempts.";
    BAD_ADDRESS = 2016, "no address",
        cause: "An address is not of the form HOST:PORT or [IPV6]:PORT.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Write the host's name or address and the port, for example controller.example:7421.";
    CA_STORE = 2020, "the controller's certificate authority cannot be used",
        cause: "Its file cannot be read or written, is damaged, or can be read by others.",
        certain: "No certificate was issued.", unknown: "Who changed the file.",
        remedy: "Restore the folder `ca` of the state folder with its modes (0700, files 0600). Without it all agents must be enrolled anew.";
    TOKEN_STORE = 2021, "the file of enrolment tokens cannot be used",
        cause: "It cannot be read or written, or is damaged.",
        certain: "No token was made or accepted.", unknown: "Nothing.",
        remedy: "See to room and permissions of the state folder; a damaged file may be removed: open tokens are void then.";
    LISTEN = 2022, "a listener cannot be opened",
        cause: "The address is in use, not of this host, or needs more rights.",
        certain: "The controller did not start.", unknown: "Nothing.",
        remedy: "Stop what uses the address, or choose another one.";
    ARTIFACT_STREAM = 2023, "an artifact did not arrive whole",
        cause: "The stream ended early, or a chunk came out of order.",
        certain: "What arrived in order is kept, and the transfer goes on from there.", unknown: "Nothing.",
        remedy: "None is needed: the agent asks again from the last good byte.";
}
