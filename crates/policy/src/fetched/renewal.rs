//! Renewal of a login: its refresh token is shown once, and the one that comes for it is on disk before it is used.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use config::Secret;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::fetch;
use super::grant::{Granted, Question, Wanted};
use super::held::Token;
use super::logins::{Account, Locked, Logins};
use super::settings::Login;
use super::tokens::Shared;
use super::unfetched::Unfetched;
use crate::address;

/// How long is waited before it is looked again whether another process has renewed it.
const BREATH: Duration = Duration::from_millis(100);

impl Shared {
    /// The token of the account that somebody logged in to, renewed if it is at its end or was refused.
    pub(super) async fn login(
        &self,
        settings: &Login,
        refused: Option<&Secret>,
        now: SystemTime,
    ) -> Result<Token, Unfetched> {
        let logins = self.with.logins.as_ref().ok_or_else(|| self.not_logged_in())?;
        let is_good = |account: &Account| {
            let is_refused = refused.is_some_and(|refused| *refused == account.access);
            let token = of(account);
            !is_refused && token.since <= now && now < token.due
        };
        loop {
            let account = self.account(logins, settings).await?;
            if is_good(&account) {
                return Ok(of(&account));
            }
            let Some(locked) = self.locked(logins).await? else {
                // Whoever renews it now, or we at the next turn. The caller's patience is the bound.
                sleep(BREATH).await;
                continue;
            };
            // It may have been renewed before it was locked.
            let account = self.account(logins, settings).await?;
            if is_good(&account) {
                return Ok(of(&account));
            }
            return self.renew(logins, account, locked, now).await;
        }
    }

    /// Asks for new tokens, and keeps them.
    async fn renew(
        &self,
        logins: &Arc<Logins>,
        account: Account,
        locked: Locked,
        now: SystemTime,
    ) -> Result<Token, Unfetched> {
        let Some(refresh) = &account.refresh else {
            return Err(self.not_logged_in());
        };
        let question = Question {
            endpoint: &account.endpoint,
            client: &account.client,
            grant: vec![
                ("grant_type", "refresh_token".into()),
                ("refresh_token", refresh.expose().into()),
            ],
            // What was agreed to is renewed: no scopes are named (RFC 6749 §6).
            wanted: Wanted {
                resource: Some(&account.resource),
                ..Wanted::default()
            },
        };
        let granted = match question.ask(&*self.with.outside, now).await {
            Err(Unfetched::Refused { error, .. }) if error == "invalid_grant" => {
                tracing::warn!(upstream = %self.upstream, "a login was ended by who gave it");
                let (logins, upstream) = (Arc::clone(logins), self.upstream.clone());
                *self.unsaved.lock() = None;
                blocking(move || logins.forget(&upstream)).await?;
                drop(locked);
                return Err(self.not_logged_in());
            }
            granted => granted?,
        };
        // From here to where it is being written nothing waits, so that nothing can end between.
        let renewed = account.renewed(granted, now);
        let token = of(&renewed);
        *self.unsaved.lock() = Some(renewed.clone());
        self.save(logins, renewed, Some(locked)).await;
        Ok(token)
    }

    /// Writes a login, and then unlocks it. One that the disk does not take is used all the same, and written at the
    /// next turn.
    async fn save(&self, logins: &Arc<Logins>, account: Account, locked: Option<Locked>) {
        let logins = Arc::clone(logins);
        let keep = move || {
            let kept = logins.keep(&account);
            drop(locked);
            kept
        };
        match blocking(keep).await {
            Ok(()) => *self.unsaved.lock() = None,
            Err(why) => {
                tracing::error!(upstream = %self.upstream, %why, "a renewed login is not on disk; a restart would lose it");
            }
        }
    }

    /// The account, if it is of this upstream as the file has it.
    async fn account(&self, logins: &Arc<Logins>, settings: &Login) -> Result<Account, Unfetched> {
        let (from, upstream) = (Arc::clone(logins), self.upstream.clone());
        let account = blocking(move || from.get(&upstream)).await?;
        let unsaved = self.unsaved.lock().clone();
        let is_newer = |unsaved: &Account| {
            account
                .as_ref()
                .is_none_or(|account| account.since <= unsaved.since)
        };
        if let Some(unsaved) = unsaved.filter(is_newer) {
            self.save(logins, unsaved.clone(), None).await;
            return Ok(unsaved);
        }
        let is_of = |account: &Account| {
            let issuer = settings.issuer.as_deref();
            let client = settings.client.as_ref();
            account.url == address::canonical(&self.url)
                && issuer.is_none_or(|issuer| account.issuer() == issuer)
                && client.is_none_or(|client| *client == account.client)
        };
        account.filter(is_of).ok_or_else(|| self.not_logged_in())
    }

    async fn locked(&self, logins: &Arc<Logins>) -> Result<Option<Locked>, Unfetched> {
        let (logins, upstream) = (Arc::clone(logins), self.upstream.clone());
        blocking(move || logins.lock(&upstream)).await
    }

    fn not_logged_in(&self) -> Unfetched {
        Unfetched::NotLoggedIn {
            upstream: self.upstream.clone(),
        }
    }
}

fn of(account: &Account) -> Token {
    let lifetime = account.until.duration_since(account.since).unwrap_or_default();
    let granted = Granted {
        token: account.access.clone(),
        lifetime: Some(lifetime),
        refresh: None,
    };
    let mut token = fetch::token(granted, account.since, None);
    if !account.is_renewable() {
        // There is nothing to be had ahead of its end.
        token.due = token.until;
    }
    token
}

/// Does what waits for the disk where that holds nobody up. It runs to its end, whoever leaves.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Unfetched> + Send + 'static,
) -> Result<T, Unfetched> {
    let done = spawn_blocking(work).await;
    done.unwrap_or_else(|_| {
        Err(Unfetched::Unkept {
            why: "its file was not read to the end".to_owned(),
        })
    })
}
