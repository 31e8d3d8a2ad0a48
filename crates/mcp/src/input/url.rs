//! `-32042`, by which 2025-11-25 says that a user must visit URLs first, as questions of 2026-07-28.

use super::{InputRequest, MOST, Malformed};
use crate::code;
use crate::json::Scanner;
use crate::message::Message;
use crate::method::Method;
use crate::object::Object;

/// The questions by URL that the error `-32042` stands for: named `u0`, `u1`, …, without `elicitationId`.
///
/// # Errors
/// If this is not that error, or not of the form it must have.
pub fn url_requests(error: &Message) -> Result<Vec<InputRequest<'static>>, Malformed> {
    if error.error_code() != Some(code::URL_ELICITATION) {
        return Err(Malformed::Empty);
    }
    let error = Object::parse(error.error().unwrap_or_default()).map_err(|_| Malformed::Shape)?;
    let data = Object::parse(error.get("data").unwrap_or_default()).map_err(|_| Malformed::Shape)?;
    let list = data.get("elicitations").unwrap_or_default();
    let list = std::str::from_utf8(list).map_err(|_| Malformed::Shape)?;
    let mut requests = Vec::new();
    let mut walked = Ok(());
    Scanner::new(list, u8::MAX)
        .array(|scanner| {
            let element = scanner.value()?;
            if walked.is_ok() {
                walked =
                    url_request(requests.len(), scanner.text(element)).map(|request| requests.push(request));
            }
            Ok(())
        })
        .map_err(|_| Malformed::Shape)?;
    walked?;
    if requests.is_empty() {
        return Err(Malformed::Empty);
    }
    Ok(requests)
}

fn url_request(index: usize, text: &str) -> Result<InputRequest<'static>, Malformed> {
    if index == MOST {
        return Err(Malformed::TooMany);
    }
    let params = Object::parse(text.as_bytes()).map_err(|_| Malformed::Shape)?;
    if params.get_text("url").is_none() || params.get_text("message").is_none() {
        return Err(Malformed::Shape);
    }
    let mut edits = params.edit();
    edits.remove("elicitationId").set("mode", r#""url""#);
    Ok(InputRequest {
        key: format!("u{index}").into(),
        method: Method::ElicitationCreate,
        params: Some(edits.apply().to_vec().into()),
    })
}
