//! Registration: who we are to an authorization server that has not heard of us (RFC 7591).

use bytes::Bytes;
use config::Secret;
use config::scalar::shown;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Request, StatusCode};
use serde_json::{Value, json};

use super::client::{Client, Place, Proof};
use super::discovery::Server;
use super::grant::{code, is_token, said};
use super::unfetched::Unfetched;
use crate::address;
use crate::authn::Outside;

/// A longer answer, in bytes, is none.
const LONGEST_ANSWER: usize = 64 << 10;

/// The client of a login: the one that the file names, else one that is described at a URL of ours, else one that is
/// made now (MCP, authorization, §Client Registration Approaches).
pub(super) async fn client(
    written: Option<&Client>,
    document: Option<&str>,
    server: &Server,
    redirect: &str,
    outside: &dyn Outside,
) -> Result<Client, Unfetched> {
    if let Some(client) = written {
        return Ok(client.clone());
    }
    let document = document.filter(|document| server.takes_client_documents && is_document(document));
    if let Some(document) = document {
        return Ok(Client {
            id: document.to_owned(),
            proof: Proof::None,
        });
    }
    if server.registration.is_some() {
        return register(server, redirect, outside).await;
    }
    Err(Unfetched::Client {
        why: format!(
            "`{}` makes no clients by itself; make one there, with `{}` as its redirect URI, and write \
             `auth: {{ login: {{ issuer: {}, client_id: … }} }}`",
            shown(&server.issuer),
            shown(redirect),
            shown(&server.issuer)
        ),
    })
}

/// Whether a URL can be the name of a client: https, and with a path.
fn is_document(text: &str) -> bool {
    let url = address::parse(text).ok();
    url.is_some_and(|url| url.scheme_str() == Some("https") && url.path().len() > 1)
}

async fn register(server: &Server, redirect: &str, outside: &dyn Outside) -> Result<Client, Unfetched> {
    let Some(url) = &server.registration else {
        unreachable!("whoever calls has looked")
    };
    let address = || url.to_string();
    let unreachable = |why: String| Unfetched::Unreachable { url: address(), why };
    let unusable = |why: &str| Unfetched::Unusable {
        url: address(),
        why: why.to_owned(),
    };
    let document = json!({
        "client_name": "Causeway",
        "application_type": "native",
        "redirect_uris": [redirect],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    });
    let request = Request::post(url.clone())
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json")
        .body(Bytes::from(document.to_string()));
    let request = request.map_err(|error| unreachable(error.to_string()))?;
    let answer = outside.send(request).await.map_err(unreachable)?;
    if answer.body().len() > LONGEST_ANSWER {
        return Err(unusable("its answer is longer than 64 KiB"));
    }
    let object = crate::authn::strict::object(answer.body());
    if !matches!(answer.status(), StatusCode::OK | StatusCode::CREATED) {
        let error = object.as_ref().and_then(|object| object.get("error")?.as_str());
        return Err(match error.filter(|_| answer.status().is_client_error()) {
            Some(error) => Unfetched::Refused {
                url: address(),
                error: code(error, &[]),
                said: object.as_ref().and_then(|object| said(object, &[])),
            },
            None => unreachable(format!("it answered {}", answer.status())),
        });
    }
    let object =
        object.ok_or_else(|| unusable("its answer is not a JSON object in which every name stands once"))?;
    let text = |name: &str| match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if is_token(text) => Ok(Some(text.as_str())),
        Some(_) => Err(unusable(&format!("its `{name}` is no text that could be one"))),
    };
    let id = text("client_id")?.ok_or_else(|| unusable("its answer holds no `client_id`"))?;
    let method = text("token_endpoint_auth_method")?;
    // A server may make another client than the one that was asked for (RFC 7591 §3.2.1).
    let proof = match (text("client_secret")?, method) {
        (None, _) | (Some(_), Some("none")) => Proof::None,
        (Some(secret), Some("client_secret_post")) => Proof::Secret(Secret::from(secret), Some(Place::Form)),
        (Some(secret), Some("client_secret_basic") | None) => {
            Proof::Secret(Secret::from(secret), Some(Place::Header))
        }
        (Some(_), Some(_)) => {
            return Err(unusable(
                "its client has to show itself in a way that we do not know",
            ));
        }
    };
    Ok(Client {
        id: id.to_owned(),
        proof,
    })
}
