//! What `docker`'s own configuration says: which context is the current one, and where that leads.

use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// The context that stands for no context.
const DEFAULT: &str = "default";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Configuration {
    #[serde(default)]
    current_context: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Description {
    name: String,
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: Docker,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Docker {
    host: String,
}

/// The name of the current context: that of the variable `DOCKER_CONTEXT`, else of the text of `config.json`. `None`
/// where it is the default.
pub fn current(variable: Option<&str>, configuration: Option<&str>) -> Option<String> {
    let configured = || serde_json::from_str::<Configuration>(configuration?).ok()?.current_context;
    let name = variable.filter(|name| !name.is_empty()).map(str::to_owned).or_else(configured);
    name.filter(|name| !name.is_empty() && name != DEFAULT)
}

/// Where a context is described, below `~/.docker`: the directory is called by the SHA-256 of the name.
pub fn file(name: &str) -> PathBuf {
    let digest: String = Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect();
    ["contexts", "meta", &digest, "meta.json"].iter().collect()
}

/// The endpoint that this description of the context names.
pub fn endpoint(name: &str, description: &str) -> Option<String> {
    let description: Description = serde_json::from_str(description).ok()?;
    (description.name == name).then_some(description.endpoints.docker.host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_comes_before_the_file_and_default_is_none() {
        let file = r#"{"auths": {}, "currentContext": "colima"}"#;
        assert_eq!(current(Some("orbstack"), Some(file)).as_deref(), Some("orbstack"));
        assert_eq!(current(Some(""), Some(file)).as_deref(), Some("colima"));
        for (variable, file) in [(Some("default"), Some(file)), (None, Some("{}")), (None, Some("[")), (None, None)] {
            assert_eq!(current(variable, file), None, "{variable:?} {file:?}");
        }
    }

    #[test]
    fn a_context_lies_where_docker_puts_it_and_says_its_own_name() {
        let digest = "f24fd3749c1368328e2b149bec149cb6795619f244c5b584e844961215dadd16";
        assert_eq!(file("colima"), PathBuf::from(format!("contexts/meta/{digest}/meta.json")));
        let text = r#"{"Name":"colima","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///Users/a/.colima/s"}}}"#;
        assert_eq!(endpoint("colima", text).as_deref(), Some("unix:///Users/a/.colima/s"));
        assert_eq!(endpoint("orbstack", text), None);
        assert_eq!(endpoint("colima", r#"{"Name":"colima","Endpoints":{}}"#), None);
    }
}
