//! Derives `mock-apiserver/src/protobuf/messages.txt` from the API sources of Kubernetes: field numbers and types from
//! `generated.proto`, and from the struct tags of the Go types what protobuf does not say (JSON name, pointer, `omitempty`, inline).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// Long names of packages, and how the table shortens them.
const PACKAGES: &[(&str, &str)] = &[
    ("k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.", "apiextensions."),
    ("k8s.io.kube_aggregator.pkg.apis.apiregistration.", "apiregistration."),
    ("k8s.io.apimachinery.pkg.apis.meta.", "meta."),
    ("k8s.io.apimachinery.pkg.", ""),
    ("k8s.io.api.", ""),
];

/// Messages whose JSON is not an object of their fields; the transcoder knows them by the word in the second column.
const SPECIAL: &[(&str, &str)] = &[
    ("meta.v1.Time", "time"),
    ("meta.v1.MicroTime", "microtime"),
    ("meta.v1.FieldsV1", "raw"),
    ("meta.v1.Verbs", "strings"),
    ("runtime.RawExtension", "raw"),
    ("api.resource.Quantity", "quantity"),
    ("util.intstr.IntOrString", "intorstring"),
    ("authentication.v1.ExtraValue", "strings"),
    ("authentication.v1beta1.ExtraValue", "strings"),
    ("authorization.v1.ExtraValue", "strings"),
    ("authorization.v1beta1.ExtraValue", "strings"),
    ("certificates.v1.ExtraValue", "strings"),
    ("certificates.v1beta1.ExtraValue", "strings"),
    ("apiextensions.v1.JSON", "raw"),
    ("apiextensions.v1beta1.JSON", "raw"),
    ("apiextensions.v1.JSONSchemaPropsOrBool", "schemaorbool"),
    ("apiextensions.v1beta1.JSONSchemaPropsOrBool", "schemaorbool"),
    ("apiextensions.v1.JSONSchemaPropsOrArray", "schemaorarray"),
    ("apiextensions.v1beta1.JSONSchemaPropsOrArray", "schemaorarray"),
    ("apiextensions.v1.JSONSchemaPropsOrStringArray", "schemaorstrings"),
    ("apiextensions.v1beta1.JSONSchemaPropsOrStringArray", "schemaorstrings"),
];

/// Packages that hold no API messages besides special ones.
const LEFT_OUT: &[&str] = &["runtime", "runtime.schema", "util.intstr", "api.resource"];

/// Messages that never stand in a document.
const LEFT_OUT_MESSAGES: &[&str] = &["Timestamp", "TypeMeta", "Duration"];

/// What the Go type says about one field.
struct GoField {
    json_name: String,
    omitted_when_empty: bool,
    pointer: bool,
}

/// Go fields of one package by type name and field number.
type GoTypes = BTreeMap<String, BTreeMap<u32, GoField>>;

/// Writes the table for the source trees below `roots` (checkouts of `api`, `apimachinery`, `apiextensions-apiserver`,
/// `kube-aggregator`).
pub(crate) fn generate(roots: &[PathBuf]) -> Result<String> {
    let mut files = Vec::new();
    for root in roots {
        find_protos(root, &mut files)?;
    }
    let mut packages = BTreeMap::new();
    for file in files {
        let folder = file.parent().context("a file is in a folder")?;
        let text = fs::read_to_string(&file)?;
        let package = package_name(&text).with_context(|| format!("{} names no package", file.display()))?;
        if LEFT_OUT.contains(&package.as_str()) {
            continue;
        }
        let body = messages(&text, &package, &go_types(folder)?)?;
        packages.insert(package, (api_version(folder)?, body));
    }
    let mut out = String::from(
        "# Messages of the Kubernetes API: field number, JSON name (`.`: inline), type.\n\
         # `*`: a pointer, zero is kept; `!`: written to JSON even when zero. Made by `cargo run -p xtask -- protobuf-table`.\n",
    );
    for (package, (api_version, body)) in packages {
        writeln!(out, "package {package} {api_version}")?;
        out.push_str(&body);
    }
    Ok(out)
}

fn find_protos(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            find_protos(&path, found)?;
        } else if path.ends_with("generated.proto") {
            found.push(path);
        }
    }
    Ok(())
}

fn shorten(name: &str) -> String {
    for (long, short) in PACKAGES {
        if let Some(rest) = name.strip_prefix(long) {
            return format!("{short}{rest}");
        }
    }
    name.to_owned()
}

fn package_name(proto: &str) -> Option<String> {
    let line = proto.lines().find_map(|line| line.strip_prefix("package "))?;
    Some(shorten(line.trim_end_matches(';')))
}

/// The `apiVersion` of a package, from the `GroupName` in its `register.go` and the name of its folder.
fn api_version(folder: &Path) -> Result<String> {
    let version = folder.file_name().and_then(|name| name.to_str()).context("a folder with a name")?;
    let register = fs::read_to_string(folder.join("register.go"))?;
    let group = register
        .lines()
        .find_map(|line| line.trim().strip_prefix("const GroupName")?.trim().strip_prefix("= \"")?.strip_suffix('"'))
        .with_context(|| format!("{} has no GroupName", folder.display()))?;
    Ok(if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") })
}

fn messages(proto: &str, package: &str, types: &GoTypes) -> Result<String> {
    let mut out = String::new();
    let mut message = None;
    let mut names = BTreeSet::new();
    for line in proto.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("message ").and_then(|rest| rest.strip_suffix(" {")) {
            let full = format!("{package}.{name}");
            let known = SPECIAL.iter().any(|(special, _)| *special == full) || LEFT_OUT_MESSAGES.contains(&name);
            message = (!known).then(|| name.to_owned());
            if let Some(name) = &message {
                names.insert(name.clone());
                writeln!(out, "message {name}")?;
            }
        } else if line == "}" {
            message = None;
        } else if let Some(name) = &message
            && !line.starts_with("//")
            && let Some((declaration, number)) = line.strip_suffix(';').and_then(|line| line.split_once(" = "))
        {
            let number: u32 = number.parse().with_context(|| format!("no field number in {line:?}"))?;
            writeln!(out, "{}", field(declaration, number, package, types.get(name))?)?;
        }
    }
    if names.is_empty() {
        bail!("package {package} has no messages");
    }
    Ok(out)
}

fn field(declaration: &str, number: u32, package: &str, fields: Option<&BTreeMap<u32, GoField>>) -> Result<String> {
    let (type_, name) = declaration.rsplit_once(' ').with_context(|| format!("no field in {declaration:?}"))?;
    let type_ = if let Some(map) = type_.strip_prefix("map<string, ") {
        format!("{{}}{}", type_name(map.trim_end_matches('>'), package))
    } else if let Some(item) = type_.strip_prefix("repeated ") {
        format!("[]{}", type_name(item, package))
    } else {
        type_name(type_.trim_start_matches("optional "), package)
    };
    let go = fields.and_then(|fields| fields.get(&number));
    let json_name = match go.map(|go| go.json_name.as_str()) {
        None => name,
        Some("") => ".",
        Some(json_name) => json_name,
    };
    let pointer = if go.is_some_and(|go| go.pointer) { "*" } else { "" };
    let always = if go.is_some_and(|go| !go.omitted_when_empty) { "!" } else { "" };
    Ok(format!("{number} {json_name} {type_}{pointer}{always}"))
}

fn type_name(name: &str, package: &str) -> String {
    let scalar = name.starts_with(|letter: char| letter.is_ascii_lowercase());
    if scalar {
        return name.to_owned();
    }
    let full = match name.strip_prefix('.') {
        Some(full) => shorten(full),
        None => format!("{package}.{name}"),
    };
    match SPECIAL.iter().find(|(special, _)| *special == full) {
        Some((_, word)) => (*word).to_owned(),
        None => full.strip_prefix(&format!("{package}.")).map_or(full.clone(), str::to_owned),
    }
}

fn go_types(folder: &Path) -> Result<GoTypes> {
    let mut types = GoTypes::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "go") {
            add_go_types(&fs::read_to_string(&path)?, &mut types);
        }
    }
    Ok(types)
}

fn add_go_types(source: &str, types: &mut GoTypes) {
    let mut current = None;
    for line in source.lines() {
        if let Some(name) = line.strip_prefix("type ").and_then(|rest| rest.strip_suffix(" struct {")) {
            current = Some(name.to_owned());
        } else if line == "}" {
            current = None;
        } else if let Some(name) = &current
            && let Some((number, field)) = go_field(line)
        {
            types.entry(name.clone()).or_default().insert(number, field);
        }
    }
}

/// A line such as ``Replicas *int32 `json:"replicas,omitempty" protobuf:"varint,1,opt,name=replicas"` ``.
fn go_field(line: &str) -> Option<(u32, GoField)> {
    let (declaration, tags) = line.trim().split_once('`')?;
    let tag = |name: &str| Some(tags.split_once(&format!("{name}:\""))?.1.split_once('"')?.0);
    let number = tag("protobuf")?.split(',').nth(1)?.parse().ok()?;
    let mut json = tag("json")?.split(',');
    let json_name = json.next()?.to_owned();
    let omitted_when_empty = json.any(|option| matches!(option, "omitempty" | "omitzero"));
    let pointer = declaration.split_whitespace().next_back()?.starts_with('*');
    Some((number, GoField { json_name, omitted_when_empty, pointer }))
}
