//! Query parameters of operations.

/// One query parameter.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) type_: &'static str,
    pub(super) description: &'static str,
}

const fn text(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, type_: "string", description }
}

const fn flag(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, type_: "boolean", description }
}

const fn number(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, type_: "integer", description }
}

const PRETTY: Parameter = text("pretty", "Whether the answer is indented for people.");
const DRY_RUN: Parameter = text("dryRun", "All: do everything but store.");

/// Of a read.
pub(super) const READ: &[Parameter] = &[PRETTY];

/// Of a list, and of the watch that it may become.
pub(super) const LIST: &[Parameter] = &[
    flag("allowWatchBookmarks", "Whether a watch may contain events of type BOOKMARK."),
    CONTINUE,
    FIELD_SELECTOR,
    LABEL_SELECTOR,
    LIMIT,
    PRETTY,
    REVISION,
    REVISION_MATCH,
    INITIAL_EVENTS,
    TIMEOUT,
    flag("watch", "Watch for changes to the described resources, which are streamed in place of a list."),
];

const CONTINUE: Parameter = text("continue", "The token of a previous page.");
const FIELD_SELECTOR: Parameter =
    text("fieldSelector", "Restricts the list of returned objects to those with these fields.");
const LABEL_SELECTOR: Parameter =
    text("labelSelector", "Restricts the list of returned objects to those with these labels.");
const LIMIT: Parameter = number("limit", "The most objects of one page.");
const REVISION: Parameter = text("resourceVersion", "The revision that the answer must show at least, or exactly.");
const REVISION_MATCH: Parameter = text("resourceVersionMatch", "How resourceVersion is meant: Exact or NotOlderThan.");
const INITIAL_EVENTS: Parameter = flag("sendInitialEvents", "Whether a watch begins with all objects as they are.");
const TIMEOUT: Parameter = number("timeoutSeconds", "How long a list or watch may take.");

const VALIDATION: Parameter =
    text("fieldValidation", "What to do about unknown and duplicate fields: Ignore, Warn or Strict.");

/// Of a create and an update.
pub(super) const WRITE: &[Parameter] =
    &[DRY_RUN, text("fieldManager", "The name of the one who makes the change."), VALIDATION, PRETTY];

/// Of a patch.
pub(super) const APPLY: &[Parameter] = &[
    DRY_RUN,
    text("fieldManager", "The name of the one who makes the change; required for apply patches."),
    VALIDATION,
    flag("force", "Whether an apply patch takes over fields of other managers."),
    PRETTY,
];

const GRACE: Parameter = number("gracePeriodSeconds", "Seconds before the object is deleted.");
const UNSAFE: Parameter = flag(
    "ignoreStoreReadErrorWithClusterBreakingPotential",
    "Whether to delete an object that cannot be read from storage.",
);
const ORPHAN: Parameter = flag("orphanDependents", "Deprecated: use propagationPolicy.");
const PROPAGATION: Parameter =
    text("propagationPolicy", "What becomes of dependents: Orphan, Background or Foreground.");

/// Of a delete.
pub(super) const DELETE: &[Parameter] = &[DRY_RUN, GRACE, UNSAFE, ORPHAN, PRETTY, PROPAGATION];

/// Of a delete of many.
pub(super) const DELETE_MANY: &[Parameter] = &[
    CONTINUE,
    DRY_RUN,
    FIELD_SELECTOR,
    GRACE,
    UNSAFE,
    LABEL_SELECTOR,
    LIMIT,
    ORPHAN,
    PRETTY,
    PROPAGATION,
    REVISION,
    REVISION_MATCH,
    INITIAL_EVENTS,
    TIMEOUT,
];

const CONTAINER: Parameter = text("container", "The container; needed where there are several.");
const STDIN: Parameter = flag("stdin", "Whether the client sends the command's input.");
const STDOUT: Parameter = flag("stdout", "Whether the client wants the command's output.");
const STDERR: Parameter = flag("stderr", "Whether the client wants the command's error output.");
const TTY: Parameter = flag("tty", "Whether the command has a terminal.");

const ATTACH: &[Parameter] = &[CONTAINER, STDERR, STDIN, STDOUT, TTY];
const EXEC: &[Parameter] = &[text("command", "The command and its arguments."), CONTAINER, STDERR, STDIN, STDOUT, TTY];
const PORT_FORWARD: &[Parameter] = &[number("ports", "Ports of the pod.")];
const PROXY: &[Parameter] = &[text("path", "The path of the request that is passed on.")];
const LOG: &[Parameter] = &[
    CONTAINER,
    flag("follow", "Whether to wait for more."),
    flag("insecureSkipTLSVerifyBackend", "Whether to believe any kubelet."),
    number("limitBytes", "The most bytes of the answer."),
    PRETTY,
    flag("previous", "Whether to read what the container said before it was restarted."),
    number("sinceSeconds", "How old the oldest line may be, in seconds."),
    text("stream", "Which output: All, Stdout or Stderr."),
    number("tailLines", "How many of the last lines to begin with."),
    flag("timestamps", "Whether each line begins with its time."),
];

/// Of subresources that are a connection or a text; `None` for others.
pub(super) fn of_connection(subresource: &str) -> Option<&'static [Parameter]> {
    Some(match subresource {
        "attach" => ATTACH,
        "exec" => EXEC,
        "portforward" => PORT_FORWARD,
        "proxy" => PROXY,
        "log" => LOG,
        _ => return None,
    })
}
