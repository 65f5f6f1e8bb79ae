//! Scripts, and what they write and do.

use std::time::Duration;

use super::*;
use crate::container::network::{Door, Host, Server};

fn surroundings() -> Surroundings {
    Surroundings {
        env: vec![("HOME".to_owned(), "/root".to_owned()), ("GPU_DEVICE_0".to_owned(), "gpu-0".to_owned())],
        files: [("/etc/x".to_owned(), b"one\ntwo\n".to_vec())].into(),
        devices: vec!["/dev/null".to_owned(), "/dev/nvidia0".to_owned(), "/dev/nvidiactl".to_owned()],
        directories: ["/empty".to_owned()].into(),
        hostname: "pod".to_owned(),
        busybox: true,
        ..Surroundings::default()
    }
}

fn run_in(shell: &str, script: &str, unknown: Unknown) -> Run {
    let words = [shell.to_owned(), "-c".to_owned(), script.to_owned()];
    run(&words, Stdin::default(), surroundings(), unknown, Timestamp::UNIX_EPOCH)
}

fn out(script: &str) -> (String, i32) {
    let run = run_in("sh", script, Unknown::NotFound);
    (run.text(), run.end.expect("an end").1)
}

#[test]
fn a_process_waits_for_its_input() {
    let run_with = |script: &str, input: Stdin| {
        let words = ["sh", "-c", script].map(str::to_owned);
        run(&words, input, surroundings(), Unknown::RunsForEver, Timestamp::UNIX_EPOCH)
    };
    let given = Stdin::Given(Duration::from_secs(2), b"a\nb\n".to_vec());
    for (script, before, while_open, after) in [
        ("echo start; cat; echo end", "start\n", "start\na\nb\n", "start\na\nb\nend\n"),
        ("cat | head -n 1; echo end", "", "", "a\nend\n"),
        ("grep b; echo end", "", "b\n", "b\nend\n"),
        ("grep -c b", "", "", "1\n"),
        ("read x; echo got $x; cat", "", "got a\nb\n", "got a\nb\n"),
        ("while read line; do echo \"<$line>\"; done", "", "<a>\n<b>\n", "<a>\n<b>\n"),
        ("n=$(wc -l); echo $n lines", "", "", "2 lines\n"),
        ("xargs echo", "", "", "a b\n"),
    ] {
        let waiting = run_with(script, Stdin::Awaited);
        assert_eq!((waiting.text().as_str(), waiting.end, waiting.waits), (before, None, true), "{script}");
        let open = run_with(script, Stdin::Open(b"a\nb\n".to_vec()));
        assert_eq!((open.text().as_str(), open.end, open.waits), (while_open, None, true), "{script}");
        let done = run_with(script, given.clone());
        assert_eq!((done.text().as_str(), done.end), (after, Some((Duration::from_secs(2), 0))), "{script}");
    }
    let enough = run_with("read x; read y; echo $y", Stdin::Open(b"a\nb\nc".to_vec()));
    assert_eq!((enough.text().as_str(), enough.waits), ("b\n", false));
    for script in ["echo hello", "cat /etc/x", "cat < /etc/x", "echo a | cat", "cat & wait"] {
        let run = run_with(script, Stdin::Awaited);
        assert!(!run.waits && run.end.is_some(), "{script}: {run:?}");
    }
}

#[test]
fn scripts_write_what_they_should() {
    for (script, text, code) in [
        ("echo hello", "hello\n", 0),
        ("echo -n a; echo b", "ab\n", 0),
        ("echo \"$HOME and ${NONE:-nothing}\" '$HOME'", "/root and nothing $HOME\n", 0),
        ("env | grep GPU_DEVICE", "GPU_DEVICE_0=gpu-0\n", 0),
        ("printenv GPU_DEVICE_0", "gpu-0\n", 0),
        ("cat /etc/x | wc -l", "2\n", 0),
        ("cat /none", "cat: can't open '/none': No such file or directory\n", 1),
        ("cat /none 2>/dev/null || echo gone", "gone\n", 0),
        ("ls /dev/nvidia0", "/dev/nvidia0\n", 0),
        ("ls /dev | grep nvidia", "nvidia0\nnvidiactl\n", 0),
        ("ls -d /dev/nvidia*", "/dev/nvidia0\n/dev/nvidiactl\n", 0),
        ("false && echo no; echo $?", "1\n", 0),
        ("A=1; echo $A > /tmp/f; cat /tmp/f; exit 3; echo no", "1\n", 3),
        ("if [ -e /dev/nvidia0 ]; then echo yes; else echo no; fi", "yes\n", 0),
        ("if false; then echo a; elif true; then echo b; fi", "b\n", 0),
        ("nonsense", "sh: nonsense: not found\n", 127),
        ("echo one two | head -n 1 && hostname # a comment", "one two\npod\n", 0),
        ("echo 'unterminated", "sh: syntax error: unterminated quoted string\n", 2),
        ("for i in 1 2 3; do echo $i; done", "1\n2\n3\n", 0),
        ("for f in /etc/*; do echo $f; done", "/etc/x\n", 0),
        ("for i in $(seq 1 5); do [ $i -eq 2 ] && continue; [ $i = 4 ] && break; echo $i; done", "1\n3\n", 0),
        ("i=0; while [ $i -lt 3 ]; do i=$((i+1)); done; echo $i", "3\n", 0),
        ("i=3; until [ $i -eq 0 ]; do i=$((i - 1)); done; echo $((i * 2 + 7 % 4))", "3\n", 0),
        ("case $HOSTNAME-x in a) echo a;; *-x|b) echo b;; esac", "b\n", 0),
        ("greet() { echo hello $1; return 4; }; greet you; echo $?", "hello you\n4\n", 0),
        ("x=a.tar.gz; echo ${x%.*} ${x%%.*} ${x#*.} ${x##*.} ${#x} ${x/tar/zip}", "a.tar a tar.gz gz 8 a.zip.gz\n", 0),
        ("cat <<EOF\nhome $HOME\nEOF", "home /root\n", 0),
        ("cat <<'EOF' > /tmp/a\n$HOME\nEOF\ncat /tmp/a", "$HOME\n", 0),
        ("(cd /tmp; pwd); pwd", "/tmp\n/\n", 0),
        ("{ echo a; echo b >&2; } 2>/dev/null", "a\n", 0),
        ("printf '%s=%d\\n' a 1 b 2", "a=1\nb=2\n", 0),
        ("echo a b c | awk '{print $2, $NF}'", "b c\n", 0),
        ("echo hello | sed 's/l\\(l\\)/L\\1/; s/o$/0/'", "heLl0\n", 0),
        ("printf 'a\\nb\\nc\\n' | sed -n '/b/ s/b/d/; /d/p'", "d\n", 0),
        ("printf 'a\\nb\\nc\\n' | sed '1d; s/a/x/p; 2,$ s/c/y/'", "b\ny\n", 0),
        ("printf 'b\\na\\nb\\n' | sort | uniq -c | sort -rn | head -1", "      2 b\n", 0),
        ("echo one,two | cut -d, -f2 | tr a-z A-Z", "TWO\n", 0),
        ("! true; echo $?", "1\n", 0),
        ("set -e; false; echo no", "", 1),
        ("set -e; false || echo yes; if false; then :; fi; echo still", "yes\nstill\n", 0),
        ("export A=1; sh -c 'echo $A$B'; B=2 sh -c 'echo $A$B'", "1\n12\n", 0),
        ("echo x | while read line; do echo got $line; done", "got x\n", 0),
        ("while read a b; do echo $b; done < /etc/x", "\n\n", 0),
        ("mkdir -p /data/deep && cd /data && touch deep/f && ls deep && find . -type f", "f\n./deep/f\n", 0),
        ("mkdir /empty", "mkdir: can't create directory '/empty': File exists\n", 1),
        ("echo a >> /tmp/l; echo b >> /tmp/l; wc -l < /tmp/l", "2\n", 0),
        ("cp /etc/x /tmp/y && mv /tmp/y /tmp/z && cat /tmp/z && rm /tmp/z && test -f /tmp/z", "one\ntwo\n", 1),
        ("echo $(echo nested $(echo deep)) `echo back`", "nested deep back\n", 0),
        ("echo hi | base64 | base64 -d", "hi\n", 0),
        ("set -- a b; echo $# $1 \"$@\"; shift; echo $1", "2 a a b\nb\n", 0),
        ("type ls >/dev/null && command -v nothing || echo none", "none\n", 0),
        ("echo > /none/f", "sh: can't create /none/f: nonexistent directory\n", 1),
        ("seq 3 | xargs -n 1 echo n", "n 1\nn 2\nn 3\n", 0),
        ("[ -n \"$GPU_DEVICE_0\" -a -d /dev ] && echo both", "both\n", 0),
        ("echo \"a\nb\" | grep -c .", "2\n", 0),
        ("timeout 5 sleep 10; echo $?", "124\n", 0),
        ("date +%Y-%m-%d; sleep 86400; date +%Y-%m-%d", "1970-01-01\n1970-01-02\n", 0),
        ("eval 'x=5'; echo ${x:+set} ${y:+set}", "set\n", 0),
        ("echo ${NONE:?is missing}; echo no", "sh: NONE: is missing\n", 2),
    ] {
        assert_eq!(out(script), (text.to_owned(), code), "{script}");
    }
}

#[test]
fn bash_has_more() {
    for (script, text) in [
        ("for i in {1..3}; do echo $i; done", "1\n2\n3\n"),
        ("echo {a,b}c", "ac bc\n"),
        ("[[ abc == a* ]] && echo fits", "fits\n"),
        ("cat <<< here", "here\n"),
        ("nonsense", "bash: line 1: nonsense: command not found\n"),
        ("echo both &> /tmp/f; cat /tmp/f", "both\n"),
    ] {
        assert_eq!(run_in("bash", script, Unknown::NotFound).text(), text, "{script}");
    }
}

#[test]
fn time_passes_as_the_script_says() {
    let end = |script: &str| run_in("sh", script, Unknown::RunsForEver).end.map(|(run, code)| (run.as_secs(), code));
    assert_eq!(end("echo hello; sleep 3 && exit 7"), Some((3, 7)));
    assert_eq!(end("trap 'exit 0' TERM; sleep 9999 & wait"), Some((9999, 0)));
    assert_eq!(end("sleep 2m; true"), Some((120, 0)));
    assert_eq!(end("sleep infinity"), None);
    assert_eq!(end("sleep 1; python train.py"), None);
    assert_eq!(end("tail -f /dev/null"), None);
    assert_eq!(end("sleep 5 & sleep 2; exit 1"), Some((2, 1)));
    assert_eq!(end("i=0; while [ $i -lt 3 ]; do sleep 2; i=$((i+1)); done"), Some((6, 0)));
    let forever = run_in("sh", "while true; do echo tick; sleep 5; done", Unknown::RunsForEver);
    assert_eq!(forever.end, None);
    assert_eq!(forever.output[2].after, Duration::from_secs(10));
    let teed = run_in("sh", "while true; do echo tick; sleep 5; done | tee /tmp/log", Unknown::RunsForEver);
    assert_eq!((teed.end, teed.output[2].after), (None, Duration::from_secs(10)));
    let appended = Change::Append("/tmp/log".to_owned(), b"tick\n".to_vec());
    assert_eq!(teed.changes[1], (Duration::from_secs(5), appended));
}

#[test]
fn files_change_in_their_time() {
    let run = run_in("sh", "touch /tmp/healthy; sleep 30; rm -f /tmp/healthy; sleep 600", Unknown::RunsForEver);
    let changes: Vec<(u64, &Change)> = run.changes.iter().map(|(after, change)| (after.as_secs(), change)).collect();
    let path = "/tmp/healthy".to_owned();
    assert_eq!(changes, [(0, &Change::Write(path.clone(), Vec::new())), (30, &Change::Remove(path))]);
}

#[test]
fn a_line_follows_the_other() {
    let mut shell = Shell::interactive(surroundings(), "/bin/sh", Timestamp::UNIX_EPOCH);
    let mut typed = |text: &str| shell.typed(text, Timestamp::UNIX_EPOCH).map(|(run, ends)| (run.text(), ends));
    let said = |text: &str, ends: bool| Some((text.to_owned(), ends));
    assert_eq!(typed("cd /tmp; x=1"), said("", false));
    assert_eq!(typed("echo $x > f; pwd; cat f"), said("/tmp\n1\n", false));
    assert_eq!(typed("for i in 1 2; do"), None);
    assert_eq!(typed("for i in 1 2; do\necho $i\ndone"), said("1\n2\n", false));
    assert_eq!(typed("done"), said("sh: syntax error: \"done\" unexpected\n", false));
    assert_eq!(typed("false"), said("", false));
    assert_eq!(typed("exit"), said("", true));
    assert_eq!((shell.prompt().as_str(), shell.code()), ("/tmp # ", 1));
}

#[test]
fn nothing_panics_and_everything_ends() {
    let nested = "sh -c ".repeat(100);
    let deep = "while true; do ".repeat(100);
    let quotes = "\"$(".repeat(1000);
    let braces = "${a:-".repeat(1000);
    for script in [
        "while true; do :; done",
        "f() { f; }; f",
        "f() { f | f; }; f",
        "|",
        "a |",
        "> ",
        "2>&x",
        "${",
        "$",
        "'",
        "while",
        "if",
        "((((",
        "case x in",
        "case x in a) ;; esac",
        "cat <<EOF",
        "while true; do :; done | while true; do :; done | cat | head",
        "for i in $(seq 100000); do for j in $(seq 100000); do echo $i$j; done; done",
        "while true; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx >> /tmp/f; done",
        "shift 99; shift -1; break; continue; return; exit 99999",
        "\u{0}ä",
        &nested,
        &deep,
        &quotes,
        &braces,
    ] {
        run_in("sh", script, Unknown::NotFound);
        run_in("bash", script, Unknown::RunsForEver);
    }
}

fn with_network(answers: &[(&str, Option<Host>)]) -> Surroundings {
    let mut all = surroundings();
    answers.iter().for_each(|(name, answer)| all.network.learn(name, answer.clone(), Duration::MAX));
    all
}

fn web() -> Host {
    let pod = serde_json::json!({"spec": {"containers": [{"image": "hashicorp/http-echo", "args": ["-text=hi"]}]}});
    let server = Server::of_pod(&pod, 5678, &BTreeMap::new()).expect("a server");
    Host {
        name: "web.default.svc.cluster.local".to_owned(),
        addresses: vec!["10.96.0.7".to_owned()],
        doors: [(80, Door::Open(server)), (81, Door::Refuses)].into(),
        silent: true,
    }
}

#[test]
fn tools_of_the_network_say_what_they_find() {
    for (busybox, script, text, code, seconds) in [
        (true, "wget -qO- web", "hi\n", 0, 0),
        (true, "wget -q web && cat index.html", "hi\n", 0, 0),
        (
            true,
            "wget -O- web:80/x",
            "Connecting to web:80 (10.96.0.7:80)\nwriting to stdout\n-                    100% |********************************|     3  0:00:00 ETA\nwritten to stdout\nhi\n",
            0,
            0,
        ),
        (
            true,
            "wget --spider -q -T 2 web:81",
            "wget: can't connect to remote host (10.96.0.7): Connection refused\n",
            1,
            0,
        ),
        (true, "wget -T 2 -qO- web:82", "wget: download timed out\n", 1, 2),
        (true, "wget -qO- none:80", "wget: bad address 'none:80'\n", 1, 0),
        (false, "curl -s http://web/", "hi\n", 0, 0),
        (false, "curl -s -o /dev/null -w '%{http_code}\\n' web/health", "200\n", 0, 0),
        (
            false,
            "curl -sI web",
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\n\r\n",
            0,
            0,
        ),
        (
            false,
            "curl web:81",
            "curl: (7) Failed to connect to web port 81 after 0 ms: Could not connect to server\n",
            7,
            0,
        ),
        (false, "curl -s -m 3 web:82; echo $?", "28\n", 0, 3),
        (false, "curl -sS none", "curl: (6) Could not resolve host: none\n", 6, 0),
        (true, "nc -z web 80 && echo open", "open\n", 0, 0),
        (true, "nc -zv web 80", "web (10.96.0.7:80) open\n", 0, 0),
        // What follows a flag may be anything.
        (true, "nc -z -w '' web 80 && nc -z -w ä web 80 && echo open", "open\n", 0, 0),
        (true, "nc -z -w 5 web 82; echo $?", "nc: timed out\n1\n", 0, 5),
        (false, "nc -zv web 81", "nc: connect to web (10.96.0.7) port 81 (tcp) failed: Connection refused\n", 1, 0),
        (
            true,
            "nslookup web",
            "Server:\t\t10.96.0.10\nAddress:\t10.96.0.10:53\n\nName:\tweb.default.svc.cluster.local\nAddress: 10.96.0.7\n\n",
            0,
            0,
        ),
        (
            false,
            "nslookup none",
            "Server:\t\t10.96.0.10\nAddress:\t10.96.0.10#53\n\n** server can't find none: NXDOMAIN\n\n",
            1,
            0,
        ),
        (false, "getent hosts web", "10.96.0.7       web.default.svc.cluster.local\n", 0, 0),
        (false, "getent hosts none; echo $?", "2\n", 0, 0),
        (false, "dig +short web.default.svc.cluster.local", "10.96.0.7\n", 0, 0),
    ] {
        let network = [("web", Some(web())), ("web.default.svc.cluster.local.", Some(web())), ("none", None)];
        let all = Surroundings { busybox, ..with_network(&network) };
        let words = ["sh", "-c", script].map(str::to_owned);
        let run = run(&words, Stdin::default(), all, Unknown::NotFound, Timestamp::UNIX_EPOCH);
        let end = run.end.map(|(after, code)| (after.as_secs(), code));
        assert_eq!((run.text().as_str(), end), (text, Some((seconds, code))), "{script}");
    }
}

#[test]
fn what_is_not_known_of_the_network_is_asked_for() {
    let words = ["sh", "-c", "echo start; sleep 3; until nc -z db 5432; do echo waiting; sleep 2; done; echo done"];
    let words = words.map(str::to_owned);
    let run_with = |all| run(&words, Stdin::default(), all, Unknown::NotFound, Timestamp::UNIX_EPOCH);
    let seconds = Duration::from_secs;
    let first = run_with(surroundings());
    assert_eq!((first.text().as_str(), first.end), ("start\n", None));
    assert_eq!(first.asks, Some(Ask { host: "db".to_owned(), at: seconds(3) }));
    let mut all = surroundings();
    all.network.learn("db", None, seconds(4));
    let second = run_with(all.clone());
    assert_eq!(second.text(), "start\nnc: bad address 'db'\nwaiting\n");
    assert!(second.asks.as_ref().is_some_and(|ask| ask.at > seconds(5)) && second.end.is_none());
    let pod = serde_json::json!({"spec": {"containers": [{"image": "postgres"}]}});
    let server = Server::of_pod(&pod, 5432, &BTreeMap::new()).expect("a server");
    all.network.learn("db", Some(Host { doors: [(5432, Door::Open(server))].into(), ..Host::default() }), seconds(9));
    let last = run_with(all);
    assert_eq!(last.text(), "start\nnc: bad address 'db'\nwaiting\ndone\n");
    assert_eq!((last.asks, last.end.map(|(after, code)| (after.as_secs(), code))), (None, Some((5, 0))));
}

/// Words and signs of which scripts are made at random.
const TOKENS: &[&str] = &[
    "echo ",
    "a ",
    "ü ",
    "$x ",
    "${x} ",
    "${x#*} ",
    "${x%%a*} ",
    "${x:1:2} ",
    "${x:-$(echo} ",
    "${#x} ",
    "${x/ü/b} ",
    "${x//a/} ",
    "$1 ",
    "$((",
    "1",
    " + ",
    " - ",
    "9223372036854775807",
    " * ",
    " << ",
    " >> ",
    "64",
    " / ",
    "0",
    " % ",
    "-9223372036854775808",
    "x",
    " ? ",
    " : ",
    "))",
    "| ",
    "; ",
    "&& ",
    "|| ",
    "& ",
    "( ",
    ") ",
    "{ ",
    "} ",
    "while ",
    "until ",
    "do ",
    "done ",
    "if ",
    "then ",
    "else ",
    "fi ",
    "for x in ",
    "case a in ",
    "a) ",
    ";; ",
    "esac ",
    "'",
    "\"",
    "`",
    "$(",
    "> /tmp/f ",
    ">> /tmp/f ",
    "< /etc/x ",
    "<<E\n",
    "E\n",
    "\n",
    "\\",
    "true ",
    "false ",
    "f() { ",
    "f ",
    "break ",
    "continue ",
    "return 3 ",
    "exit 256 ",
    "! ",
    "eval ",
    "set -e ",
    "set -- a b c ",
    "shift ",
    "shift 9 ",
    "x=1 ",
    "x=ü ",
    "export x=2 ",
    "read x ",
    "wait ",
    "sleep 1 ",
    "trap 'echo t' TERM ",
    "kill $! ",
    "test -f /etc/x ",
    "[ 1 -eq ü ] ",
    "[[ a == [ ]] ",
    "sed 's/o/ü/' ",
    "sed 's/\\(/x/' ",
    "sed -n '2,1p' ",
    "sed '/a' ",
    "sed -e ",
    "grep -n o ",
    "grep -E '[' ",
    "grep -A 1 -B 99999999999999999999 o ",
    "tr a-z A-Z ",
    "tr z-a x ",
    "tr -d ",
    "cut -c 2- ",
    "cut -c 0-9223372036854775807 ",
    "cut -d ü -f 1,3-2 ",
    "head -n -1 ",
    "head -c 1 ",
    "tail -n +0 ",
    "tail -c 99999999999999999999 ",
    "head -n -99999999999999999999 ",
    "sort -rn ",
    "uniq -c ",
    "wc -lc ",
    "awk '{print $1}' ",
    "awk '{print $99999999999999999999}' ",
    "base64 ",
    "base64 -d ",
    "printf '%5.3s|%d|%x\\n' ",
    "printf '%*d' ",
    "printf '%99999999999d' 1 ",
    "printf '\\x4\\0777\\u' ",
    "seq 1 3 ",
    "seq 3 -1 1 ",
    "seq 1 0 2 ",
    "seq 9223372036854775806 9223372036854775807 ",
    "expr 1 / 0 ",
    "expr 9223372036854775807 + 1 ",
    "date +%s ",
    "date +%ü ",
    "xargs echo ",
    "find / -name '*' ",
    "ls -l / ",
    "cat /etc/x ",
    "cat - ",
    "tee /tmp/g ",
    "basename /a/ü/ ",
    "dirname ü ",
    "mkdir -p /tmp/d ",
    "rm -rf / ",
    "cp /etc/x /tmp/y ",
    "mv /tmp/y /tmp/z ",
    "touch /tmp/t ",
    "tar c /etc ",
    "tar x ",
    "env ",
    "id ",
    "hostname ",
    "timeout 1 ",
    "sh -c ",
    "wget -qO- http://nowhere/ ",
    "nslookup ü ",
    "cd / ",
    "pwd ",
    "type ls ",
    "ps ",
    "nvidia-smi ",
];

/// Runs a script, whatever comes of it.
fn survives(script: &str) {
    let ran = std::panic::catch_unwind(|| {
        for input in
            [Stdin::default(), Stdin::Open("ü\na b\n".into()), Stdin::Given(Duration::ZERO, vec![0xff, b'\n', 0])]
        {
            let words = ["sh", "-c", script].map(str::to_owned);
            run(&words, input, surroundings(), Unknown::NotFound, Timestamp::UNIX_EPOCH);
        }
    });
    assert!(ran.is_ok(), "panics: {script}");
}

#[test]
fn whatever_a_script_says_it_ends() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |end: usize| {
        // xorshift64*
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        usize::try_from(state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap_or_default() % end
    };
    let rounds = std::env::var("SCRIPTS").ok().and_then(|text| text.parse().ok()).unwrap_or(2000);
    for _ in 0..rounds {
        let length = 1 + below(14);
        let script: String = (0..length).map(|_| TOKENS[below(TOKENS.len())]).collect();
        survives(&script);
    }
}

#[test]
fn what_is_nested_too_deep_ends_too() {
    const DEEP: usize = 2_000;
    for (open, middle, close) in [
        ("(", "echo a", ")"),
        ("{ ", "echo a", "; }"),
        ("echo $(", "echo a", ")"),
        ("echo $((", "1", "))"),
        ("echo $(( ", "1", " ))"),
        ("if true; then ", "echo a", "; fi"),
        ("while true; do ", "echo a", "; done"),
        ("! ", "true", ""),
        ("echo ${x:-", "a", "}"),
        ("\"$(", "echo a", ")\""),
        ("eval ", "echo a", ""),
        ("case a in a) ", "echo a", ";; esac"),
        ("a | ", "cat", ""),
        ("true && ", "true", ""),
        ("x=a ", "env", ""),
        ("f() { ", "echo a", "; }"),
    ] {
        survives(&format!("{}{middle}{}", open.repeat(DEEP), close.repeat(DEEP)));
        survives(&format!("{}{middle}", open.repeat(DEEP)));
    }
    survives(&format!("echo $(({}1{}))", "(".repeat(DEEP), ")".repeat(DEEP)));
    survives(&format!("echo $(({}1))", "-".repeat(DEEP)));
    survives(&format!("echo $(({}1))", "1?".repeat(DEEP)));
    survives("f() { f; }; f");
    survives("f() { f | f; }; f");
    survives("eval 'x() { eval x; }'; x");
    survives("while :; do :; done");
    survives("while :; do echo a; done | head -n 1");
    survives("x=a; while :; do x=$x$x; done");
    let long = format!("echo {{1..100000}}{}", "a".repeat(60_000));
    run_in("bash", &long, Unknown::NotFound);
    let (text, code) = out("x=a; while :; do x=$x$x; done");
    assert_eq!((text.as_str(), code), ("sh: out of memory\n", 2));
    assert_eq!(
        out("x=a/b.c; echo ${x#a} ${x##*/} ${x%.c} ${x%%/*} ${x//a/bb} ${x/b*/q}").0,
        "/b.c b.c a/b a bb/b.c a/q\n"
    );
}
