//! The inventory's words on an AWS network become a [`Place`].

use std::collections::BTreeMap;

use rsgsync_core::inventory::{Network, PlaceKind, ProviderSpec};
use rsgsync_core::observed::{Limit, LimitSource, Limits};
use rsgsync_engine::{CloudError, ErrorKind};
use serde_json::{Map, Value};

/// The keys of `networks.NAME.aws`.
pub const SPEC: ProviderSpec = ProviderSpec {
    word: "aws",
    keys: &[
        ("region", PlaceKind::Text),
        ("vpc", PlaceKind::TextOrTags),
        ("account", PlaceKind::Text),
        ("profile", PlaceKind::Text),
        ("assume_role", PlaceKind::Text),
    ],
    required: &[],
    most: &[("rules_per_group", 1000)],
    absent: None,
    groups_are_names: false,
    beside_rules: &[
        "network ACLs",
        "routes",
        "other security groups of an interface",
        "AWS Network Firewall",
        "host firewalls",
    ],
};

/// EC2's default quota of rules a group: 60 in each direction, counted by family ("Amazon VPC quotas").
const RULES_PER_GROUP: u32 = 60;
/// EC2's default quota of groups a region ("Amazon VPC quotas").
const GROUPS: u32 = 2500;

/// Where groups live, as the inventory says it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place {
    /// The network's name in the inventory.
    pub network: String,
    /// `None`: what the environment or the profile says.
    pub region: Option<String>,
    pub vpc: VpcChoice,
    /// The only account that may be touched.
    pub account: Option<String>,
    /// A profile of the user's AWS configuration files.
    pub profile: Option<String>,
    /// The ARN of a role to assume.
    pub assume_role: Option<String>,
    pub limits: Limits,
}

/// How the VPC is named.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum VpcChoice {
    /// The region's default VPC.
    Default,
    /// By id, `vpc-…`.
    Id(String),
    /// By tags, all of which it must have.
    Tags(BTreeMap<String, String>),
}

impl Place {
    /// Reads a network of the inventory; errors when a value has a shape that [`SPEC`] rules out.
    pub fn new(network: &Network) -> Result<Self, CloudError> {
        let wrong = |message: String, help: &str| CloudError {
            kind: ErrorKind::Final,
            doing: format!("reading the place of network `{}`", network.name),
            message,
            request_id: None,
            help: Some(help.to_owned()),
        };
        let text = |key: &str| match network.at.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
            Some(_) => Err(wrong(format!("`{key}` is not a text"), &format!("write `{key}: \"…\"`"))),
        };
        let vpc = match network.at.get("vpc") {
            Some(Value::Object(map)) => tags(map).map(VpcChoice::Tags).ok_or_else(|| {
                wrong("`vpc` has no tags to find it by".to_owned(), "write `vpc: { tags: { Name: prod } }`")
            })?,
            _ => text("vpc")?.map_or(VpcChoice::Default, VpcChoice::Id),
        };
        if let VpcChoice::Id(id) = &vpc
            && !id.starts_with("vpc-")
        {
            return Err(wrong(
                format!("`{id}` is not the id of a VPC"),
                "write `vpc: vpc-0a1b2c3d`, or `vpc: { tags: { Name: prod } }`",
            ));
        }
        let account = text("account")?;
        if let Some(account) = &account
            && !(account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()))
        {
            return Err(wrong(format!("`{account}` is not the id of an account"), "write its 12 digits, in quotes"));
        }
        let limit = |key: &str, default: u32| {
            Some(match network.quotas.get(key) {
                Some(at_most) => Limit { at_most: *at_most, source: LimitSource::Configured },
                None => Limit { at_most: default, source: LimitSource::Assumed },
            })
        };
        Ok(Self {
            network: network.name.to_string(),
            region: text("region")?,
            vpc,
            account,
            profile: text("profile")?,
            assume_role: text("assume_role")?,
            limits: Limits {
                rules_per_group: limit("rules_per_group", RULES_PER_GROUP),
                groups: limit("groups", GROUPS),
                ..Limits::default()
            },
        })
    }
}

fn tags(map: &Map<String, Value>) -> Option<BTreeMap<String, String>> {
    let tags = map.get("tags")?.as_object()?;
    let tags: Option<BTreeMap<_, _>> = tags.iter().map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect();
    tags.filter(|tags| !tags.is_empty())
}
