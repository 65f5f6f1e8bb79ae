//! What answers at a port of a container: what its image is known to serve.

use std::collections::BTreeMap;

use machinery::meta;
use serde_json::Value;

use crate::image::{self, Served};

/// Who listens at a port.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Server {
    /// It speaks TLS.
    pub(crate) tls: bool,
    /// It does not speak HTTP.
    pub(crate) mute: bool,
    /// How it names itself.
    software: String,
    content_type: String,
    /// What it answers, by path; `*` for all others.
    pages: BTreeMap<String, String>,
    /// Those whom it does not know may see only these paths.
    public: Option<&'static [&'static str]>,
}

/// What the API server tells everybody.
const HEALTH: &[&str] = &["/healthz", "/livez", "/readyz"];

/// An answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The code of the status.
    pub(crate) code: u16,
    /// And its words.
    pub(crate) words: &'static str,
    /// Headers, in order.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The body.
    pub(crate) body: String,
}

impl Answer {
    /// The first lines of the answer, up to the empty one.
    pub(crate) fn head(&self, ends: bool) -> String {
        let headers = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<String>();
        let last = if ends { "Connection: close\r\n" } else { "" };
        format!("HTTP/1.1 {} {}\r\n{headers}{last}\r\n", self.code, self.words)
    }
}

impl Server {
    /// The name server.
    pub(super) fn of_dns() -> Self {
        Self { mute: true, ..Self::default() }
    }

    /// The API server, to those who do not say who they are.
    pub(super) fn of_api() -> Self {
        let page = |text: &str| text.to_owned();
        let mut pages: BTreeMap<String, String> = HEALTH.iter().map(|path| (page(path), page("ok"))).collect();
        pages.insert(
            page("*"),
            page(
                "{\n  \"kind\": \"Status\",\n  \"apiVersion\": \"v1\",\n  \"metadata\": {},\n  \"status\": \"Failure\",\n  \
                 \"message\": \"Unauthorized\",\n  \"reason\": \"Unauthorized\",\n  \"code\": 401\n}\n",
            ),
        );
        Self { tls: true, content_type: page("application/json"), pages, public: Some(HEALTH), ..Self::default() }
    }

    /// Who answers at a port of a pod; `files` are those that a container sees in its volumes.
    pub(crate) fn of_pod(pod: &Value, port: u16, files: &BTreeMap<String, Vec<u8>>) -> Option<Self> {
        let (container, served) = listener(pod, port)?;
        let Some(served) = served else {
            return Some(Self { pages: [("*".to_owned(), String::new())].into(), ..Self::default() });
        };
        let mut pages: BTreeMap<String, String> =
            served.pages.iter().map(|(path, text)| (path.clone(), filled(text, pod, container))).collect();
        let mounted = |path: &str| served.root.as_deref().is_some_and(|root| path.starts_with(root));
        if let Some(root) = &served.root
            && files.keys().any(|path| mounted(path))
        {
            // What is mounted there hides what the image has.
            pages.clear();
            for (path, text) in files.iter().filter(|(path, _)| mounted(path)) {
                pages.insert(path[root.len()..].to_owned(), String::from_utf8_lossy(text).into_owned());
            }
            let index = pages.get("/index.html").cloned();
            pages.extend(index.map(|text| ("/".to_owned(), text)));
        }
        let content_type = served.content_type.clone().unwrap_or_else(|| "text/plain; charset=utf-8".to_owned());
        let software = served.software.clone().unwrap_or_default();
        Some(Self { tls: served.tls, mute: served.mute, software, content_type, pages, public: None })
    }

    /// What it sends to who sent the head of a request, and whether that ends the connection.
    pub(crate) fn respond(&self, head: &str) -> (Vec<u8>, bool) {
        let mut words = head.lines().next().unwrap_or_default().split(' ');
        let (method, path, version) = (words.next(), words.next(), words.next().unwrap_or_default());
        if self.mute || !version.starts_with("HTTP/1.") {
            return (Vec::new(), true);
        }
        if self.tls {
            let told = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
            return (told.as_bytes().to_vec(), true);
        }
        let answer = self.answer(path.unwrap_or("/"));
        let ends = version == "HTTP/1.0" || head.to_ascii_lowercase().contains("\nconnection: close");
        let mut text = answer.head(ends);
        if method != Some("HEAD") {
            text.push_str(&answer.body);
        }
        (text.into_bytes(), ends)
    }

    /// What it answers.
    pub(crate) fn answer(&self, path: &str) -> Answer {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let page = self.pages.get(path).or_else(|| self.pages.get("*"));
        let (code, words) = match page {
            Some(_) if self.public.is_some_and(|public| !public.contains(&path)) => (401, "Unauthorized"),
            Some(_) => (200, "OK"),
            None => (404, "Not Found"),
        };
        let body = page.cloned().unwrap_or_else(|| match self.software.as_str() {
            "" => "404 page not found\n".to_owned(),
            software => format!(
                "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<center><h1>404 Not Found</h1></center>\r\n\
                 <hr><center>{software}</center>\r\n</body>\r\n</html>\r\n"
            ),
        });
        let mut headers = Vec::new();
        if !self.software.is_empty() {
            headers.push(("Server", self.software.clone()));
        }
        headers.push(("Content-Type", self.content_type.clone()));
        headers.push(("Content-Length", body.len().to_string()));
        Answer { code, words, headers, body }
    }
}

/// The container that listens at a port, and what its image serves there: one whose image is known for it, one that declares
/// the port, one that is told the port, or one of which nothing is known.
fn listener(pod: &Value, port: u16) -> Option<(&Value, Option<&'static Served>)> {
    let sidecars = pod["spec"]["initContainers"].as_array().into_iter().flatten();
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let all: Vec<&Value> = containers.chain(sidecars.filter(|one| one["restartPolicy"] == "Always")).collect();
    let image = |container: &Value| image::find(container["image"].as_str().unwrap_or_default());
    let serves = |container: &Value| image(container).map(|image| image.serves.as_slice()).unwrap_or_default();
    let known = all.iter().find_map(|one| Some((*one, serves(one).iter().find(|served| served.port == port)?)));
    if let Some((container, served)) = known.filter(|(container, _)| container["command"].is_null()) {
        return Some((container, Some(served)));
    }
    let declares = |one: &&&Value| {
        let ports = one["ports"].as_array().into_iter().flatten();
        ports.into_iter().any(|declared| declared["containerPort"] == port)
    };
    let is_told = |one: &&&Value| {
        let words = ["command", "args"].into_iter().flat_map(|member| one[member].as_array().into_iter().flatten());
        let mut numbers = words.filter_map(Value::as_str).flat_map(|word| word.split(|c: char| !c.is_ascii_digit()));
        numbers.any(|number| number.parse() == Ok(port))
    };
    let says_nothing = |one: &Value| one["command"].is_null() && one["ports"].as_array().is_none_or(Vec::is_empty);
    let is_unknown = |one: &&&Value| image(one).is_none() && says_nothing(one);
    let found =
        all.iter().find(declares).or_else(|| all.iter().find(is_told)).or_else(|| all.iter().find(is_unknown))?;
    Some((found, serves(found).first()))
}

/// A text with what it says of the pod.
fn filled(text: &str, pod: &Value, container: &Value) -> String {
    let flag = |word: &Value| word.as_str()?.trim_start_matches('-').strip_prefix("text=").map(str::to_owned);
    let said = || container["args"].as_array().into_iter().flatten().find_map(flag).unwrap_or_default();
    let text = text.replace("{pod}", meta::name(pod));
    let text = text.replace("{address}", pod["status"]["podIP"].as_str().unwrap_or_default());
    let text = text.replace("{node}", pod["spec"]["nodeName"].as_str().unwrap_or_default());
    if text.contains("{text}") { text.replace("{text}", &said()) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn body(pod: &Value, port: u16, path: &str) -> Option<(u16, String)> {
        let answer = Server::of_pod(pod, port, &BTreeMap::new())?.answer(path);
        Some((answer.code, answer.body))
    }

    #[test]
    fn images_serve_what_they_are_known_for() {
        let pod = |container: Value| json!({"metadata": {"name": "p"}, "spec": {"containers": [container]}});
        let nginx = pod(json!({"image": "nginx:1.27-alpine"}));
        assert!(body(&nginx, 80, "/").is_some_and(|(code, text)| code == 200 && text.contains("Welcome to nginx!")));
        assert!(body(&nginx, 80, "/none").is_some_and(|(code, text)| code == 404 && text.contains("nginx/")));
        assert_eq!(body(&nginx, 81, "/"), None);
        let echo = pod(json!({"image": "hashicorp/http-echo", "args": ["-text=hi", "-listen=:80"]}));
        assert_eq!((body(&echo, 80, "/x"), body(&echo, 9, "/")), (Some((200, "hi\n".to_owned())), None));
        let agnhost = pod(json!({"image": "registry.k8s.io/e2e-test-images/agnhost:2.53", "args": ["netexec"]}));
        assert_eq!(body(&agnhost, 8080, "/hostname?x=1"), Some((200, "p".to_owned())));
        let unknown = pod(json!({"image": "example/app"}));
        assert_eq!(body(&unknown, 1234, "/"), Some((200, String::new())));
        let declared = pod(json!({"image": "example/app", "ports": [{"containerPort": 8080}]}));
        assert_eq!((body(&declared, 8080, "/"), body(&declared, 80, "/")), (Some((200, String::new())), None));
        let told = pod(json!({"image": "example/app", "command": ["sleep", "1d"]}));
        assert_eq!(body(&told, 80, "/"), None);
        let idle = pod(json!({"image": "busybox", "command": ["sleep", "1000"]}));
        assert_eq!(body(&idle, 80, "/"), None);
    }

    #[test]
    fn mounted_pages_hide_those_of_the_image() {
        let pod = json!({"spec": {"containers": [{"image": "nginx"}]}});
        let files = BTreeMap::from([("/usr/share/nginx/html/index.html".to_owned(), b"mine".to_vec())]);
        let server = Server::of_pod(&pod, 80, &files).expect("a server");
        assert_eq!((server.answer("/").body, server.answer("/50x.html").code), ("mine".to_owned(), 404));
    }
}
