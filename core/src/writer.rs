//! Who else writes into firewalls: whether a group or a rule is another controller's, by its name or description.

use std::sync::LazyLock;

use serde::Deserialize;

const TEXT: &str = include_str!("../profiles/writers.yaml");
static SHIPPED: LazyLock<Vec<Writer>> = LazyLock::new(|| parse(TEXT).expect("a test reads the shipped writers"));

/// A controller that makes groups or rules of its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Writer {
    /// Its name, for people.
    pub name: String,
    /// Names of groups; `*` is any text, `?` any character. Without `rules` the groups are its own, else its rules are in
    /// these groups only.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Descriptions of its rules; `*` is any text, `?` any character.
    #[serde(default)]
    pub rules: Vec<String>,
    /// What it does, for people.
    pub why: String,
    /// Where that is documented.
    pub source: String,
}

impl Writer {
    fn has_group(&self, name: &str) -> bool {
        self.groups.iter().any(|pattern| matches(pattern, name))
    }
}

fn parse(text: &str) -> Result<Vec<Writer>, String> {
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}

/// The known writers, in the order of their file.
pub fn writers() -> &'static [Writer] {
    &SHIPPED
}

/// Who else may write into a group of some name.
#[derive(Debug, Clone)]
pub struct Suspects {
    /// Whose all its rules are.
    whole: Option<&'static Writer>,
    /// Whose rules are known by their descriptions.
    some: Vec<&'static Writer>,
}

/// The known writers that may write into a group of this name.
pub fn suspects(group_name: &str) -> Suspects {
    let mut suspects = Suspects { whole: None, some: Vec::new() };
    for writer in writers() {
        let here = writer.groups.is_empty() || writer.has_group(group_name);
        match (here, writer.rules.is_empty()) {
            (true, true) => suspects.whole = suspects.whole.or(Some(writer)),
            (true, false) => suspects.some.push(writer),
            (false, _) => {}
        }
    }
    suspects
}

impl Suspects {
    /// The other writer whose rule this is, by its description: it is foreign, even in an exclusive group.
    pub fn of(&self, rule_description: &str) -> Option<&'static Writer> {
        let wrote = |writer: &&&'static Writer| writer.rules.iter().any(|rule| matches(rule, rule_description));
        self.whole.or_else(|| self.some.iter().find(wrote).copied())
    }
}

/// The other writer who makes groups of that name, or writes into them: taking such a group over deserves a warning.
pub fn of_group(name: &str) -> Option<&'static Writer> {
    writers().iter().find(|writer| writer.has_group(name))
}

/// Whether a known writer makes groups of that name, or objects that hold rules, all of whose rules are its own.
pub fn is_a_writers(name: &str) -> bool {
    writers().iter().any(|writer| writer.rules.is_empty() && writer.has_group(name))
}

/// `*` is any text, `?` any character.
fn matches(pattern: &str, text: &str) -> bool {
    let literal = pattern.split(['*', '?']).next().unwrap_or_default();
    if !text.starts_with(literal) {
        return false;
    }
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where the last `*` stands, and the text that it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || text.get(t) == Some(c) => (p, t) = (p + 1, t + 1),
            _ => match star.as_mut() {
                Some((at, taken)) => {
                    *taken += 1;
                    (p, t) = (*at + 1, *taken);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_others(group_name: &str, rule_description: &str) -> Option<&'static Writer> {
        suspects(group_name).of(rule_description)
    }

    fn name(writer: Option<&'static Writer>) -> Option<&'static str> {
        writer.map(|writer| writer.name.as_str())
    }

    #[test]
    fn the_shipped_writers_are_right() {
        let writers = parse(TEXT).expect("the file is right");
        for writer in &writers {
            assert!(!writer.groups.is_empty() || !writer.rules.is_empty(), "{} writes nothing", writer.name);
        }
    }

    #[test]
    fn the_cloud_provider_s_rules_are_known_by_their_description_in_any_group() {
        let description = "kubernetes.io/rule/nlb/client=a1b2c3";
        assert_eq!(name(is_others("prod-workers", description)), Some("aws-cloud-provider"));
        assert_eq!(name(is_others("prod-workers", "kubelet API [rsgsync:platform/prod]")), None);
        assert_eq!(name(of_group("prod-workers")), None);
    }

    #[test]
    fn groups_of_controllers_are_known_by_their_names() {
        for (group, writer) in [
            ("k8s-elb-a1b2c3d4", "aws-load-balancers"),
            ("eks-cluster-sg-prod-1234567", "eks"),
            ("gke-prod-1a2b3c4d-all", "gke"),
            ("k8s-fw-a1b2c3", "gce-cloud-provider"),
            ("lb-0a1b2c3d-0000-1111-2222-333344445555", "octavia"),
            ("prod-internal-rancher-nodes", "rancher-machine-gce"),
        ] {
            assert_eq!((name(of_group(group)), name(is_others(group, ""))), (Some(writer), Some(writer)), "{group}");
        }
    }

    #[test]
    fn rancher_machine_s_rules_are_known_in_its_group_only() {
        let description = "managed by rancher-machine";
        assert_eq!(name(is_others("rancher-nodes", description)), Some("rancher-machine"));
        assert_eq!(name(is_others("rancher-nodes", "")), None);
        assert_eq!(name(is_others("prod-workers", description)), None);
        assert_eq!(name(of_group("rancher-nodes")), Some("rancher-machine"));
    }

    #[test]
    fn stars_take_any_text_and_question_marks_one_character() {
        for (pattern, text, wanted) in [
            ("a*c", "abbc", true),
            ("a*c", "ac", true),
            ("a*c", "acd", false),
            ("*-x-*", "a-x-x-b", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("", "", true),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, text), wanted, "{pattern} {text}");
        }
    }
}
