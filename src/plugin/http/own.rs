//! Responses of our own, in a form in which clients of many APIs look for an error's message.

use hyper::StatusCode;

/// The body, which is JSON.
pub fn body(kind: &str, message: &str) -> String {
    let body = serde_json::json!({ "type": "error", "error": { "type": kind, "message": format!("rcc: {message}") } });
    format!("{body}\n")
}

/// All of a connection's last response, for a client whose requests nobody reads.
pub fn farewell(status: StatusCode, kind: &str, message: &str) -> Vec<u8> {
    let body = body(kind, message);
    let reason = status.canonical_reason().unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {} {reason}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        status.as_u16(),
        body.len()
    );
    (head + &body).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_add_to_the_headers() {
        let text = String::from_utf8(farewell(StatusCode::FORBIDDEN, "rcc_refused", "a\r\nx: y")).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 403 Forbidden\r\n") && !head.contains("x: y"));
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
    }
}
