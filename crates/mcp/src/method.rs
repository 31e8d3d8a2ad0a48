//! The methods known to any revision, and what each one names.

use std::fmt;

/// One row per method: the variant, and its name on the wire.
macro_rules! methods {
    ($($variant:ident = $name:literal,)*) => {
        /// What a request asks for or a notification tells.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Method {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
            /// A method no revision defines; an extension's, or a mistake.
            Other(Box<str>),
        }

        /// The names in the order of the variants, `other` last.
        const NAMES: &[&str] = &[$($name,)* "other"];

        impl Method {
            /// The method of that name.
            pub fn parse(name: &str) -> Method {
                match name {
                    $($name => Method::$variant,)*
                    other => Method::Other(other.into()),
                }
            }

            /// Its place in a table of [`Method::COUNT`] entries; all unknown methods share the last.
            pub fn index(&self) -> usize {
                /// The variants without what they carry.
                enum Place { $($variant,)* Other }
                let place = match self {
                    $(Method::$variant => Place::$variant,)*
                    Method::Other(_) => Place::Other,
                };
                place as usize
            }
        }
    };
}

methods! {
    Initialize = "initialize",
    Ping = "ping",
    ToolsList = "tools/list",
    ToolsCall = "tools/call",
    ResourcesList = "resources/list",
    ResourcesTemplatesList = "resources/templates/list",
    ResourcesRead = "resources/read",
    ResourcesSubscribe = "resources/subscribe",
    ResourcesUnsubscribe = "resources/unsubscribe",
    PromptsList = "prompts/list",
    PromptsGet = "prompts/get",
    CompletionComplete = "completion/complete",
    LoggingSetLevel = "logging/setLevel",
    ServerDiscover = "server/discover",
    SubscriptionsListen = "subscriptions/listen",
    TasksGet = "tasks/get",
    TasksUpdate = "tasks/update",
    TasksCancel = "tasks/cancel",
    TasksList = "tasks/list",
    TasksResult = "tasks/result",
    SamplingCreateMessage = "sampling/createMessage",
    ElicitationCreate = "elicitation/create",
    RootsList = "roots/list",
    NotificationsInitialized = "notifications/initialized",
    NotificationsCancelled = "notifications/cancelled",
    NotificationsProgress = "notifications/progress",
    NotificationsMessage = "notifications/message",
    NotificationsRootsListChanged = "notifications/roots/list_changed",
    NotificationsToolsListChanged = "notifications/tools/list_changed",
    NotificationsPromptsListChanged = "notifications/prompts/list_changed",
    NotificationsResourcesListChanged = "notifications/resources/list_changed",
    NotificationsResourcesUpdated = "notifications/resources/updated",
    NotificationsElicitationComplete = "notifications/elicitation/complete",
    NotificationsTasks = "notifications/tasks",
    NotificationsTasksStatus = "notifications/tasks/status",
    NotificationsSubscriptionsAcknowledged = "notifications/subscriptions/acknowledged",
}

impl Method {
    /// How many values [`Method::index`] and [`Method::label`] have.
    pub const COUNT: usize = NAMES.len();

    /// Its name on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Method::Other(name) => name,
            known => known.label(),
        }
    }

    /// Its name if it is known, else `other`: a closed set, fit for metrics.
    pub fn label(&self) -> &'static str {
        NAMES[self.index()]
    }

    /// Whether sending it twice does no more than sending it once, so that a lost one may be sent again.
    ///
    /// A tool call is never safe: what a server says of its own tools does not count here.
    pub fn is_safe_to_repeat(&self) -> bool {
        matches!(
            self,
            Method::Ping
                | Method::ToolsList
                | Method::ResourcesList
                | Method::ResourcesTemplatesList
                | Method::ResourcesRead
                | Method::PromptsList
                | Method::PromptsGet
                | Method::CompletionComplete
                | Method::ServerDiscover
                | Method::TasksGet
                | Method::TasksList
                | Method::RootsList
        )
    }

    /// The member of `params` that says what the request is about; the `Mcp-Name` header repeats it
    /// (2026-07-28 streamable-http §Request Headers, SEP-2663 for tasks).
    pub fn subject_member(&self) -> Option<&'static str> {
        match self {
            Method::ToolsCall | Method::PromptsGet => Some("name"),
            Method::ResourcesRead | Method::ResourcesSubscribe | Method::ResourcesUnsubscribe => Some("uri"),
            Method::TasksGet | Method::TasksUpdate | Method::TasksCancel | Method::TasksResult => {
                Some("taskId")
            }
            _ => None,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
