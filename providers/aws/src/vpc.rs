//! The VPC that the inventory means: by id, by tags, or the region's default one.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{Filter, Tag, Vpc as ListedVpc};
use rsgsync_engine::CloudError;

use crate::connect::Aws;
use crate::error::{Asked, final_error};
use crate::place::VpcChoice;

/// A VPC; found by id it need not exist, and no call was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vpc {
    pub id: String,
    /// Its `Name` tag, where a call told.
    pub name: Option<String>,
    /// The account that owns it, where a call told.
    pub owner: Option<String>,
}

impl Aws {
    /// The network's VPC; the first time one call, none where the inventory has its id.
    pub(crate) async fn vpc(&self) -> Result<&Vpc, CloudError> {
        self.vpc
            .get_or_try_init(|| async {
                match &self.place.vpc {
                    VpcChoice::Id(id) => Ok(Vpc { id: id.clone(), name: None, owner: None }),
                    VpcChoice::Tags(tags) => self.vpc_by_tags(tags).await,
                    VpcChoice::Default => self.default_vpc().await,
                }
            })
            .await
    }

    /// Makes sure that a VPC given by id exists, and learns its name; one call, once.
    ///
    /// EC2 answers a list of groups filtered by an unknown VPC with an empty list. So whoever finds no group at all asks
    /// here, and a typo is told before anything is planned.
    pub(crate) async fn check_vpc_exists(&self) -> Result<(), CloudError> {
        let VpcChoice::Id(id) = &self.place.vpc else { return Ok(()) };
        let name = self.vpc_exists.get_or_try_init(|| async {
            let clients = self.clients().await?;
            let doing = format!("looking for VPC `{id}` in {}", clients.region);
            let answer = clients.ec2.describe_vpcs().vpc_ids(id).send().await;
            let answer = answer.map_err(|e| self.failed(doing.clone(), Asked::ec2("DescribeVpcs"), &e))?;
            match answer.vpcs().iter().find(|vpc| vpc.vpc_id() == Some(id)) {
                Some(vpc) => Ok(name_tag(vpc)),
                None => Err(final_error(
                    doing,
                    "AWS lists no such VPC".to_owned(),
                    "correct `vpc:` or `region:`; `aws ec2 describe-vpcs` lists what there is",
                )),
            }
        });
        name.await.map(|_| ())
    }

    /// Where the network is, for people: `eu-west-1 · vpc-0a1b2c3d (prod)`.
    pub(crate) fn place_text(&self, region: &str, vpc: &Vpc) -> String {
        let name = vpc.name.clone().or_else(|| self.vpc_exists.get().cloned().flatten());
        match name {
            Some(name) => format!("{region} · {} ({name})", vpc.id),
            None => format!("{region} · {}", vpc.id),
        }
    }

    async fn vpc_by_tags(&self, tags: &BTreeMap<String, String>) -> Result<Vpc, CloudError> {
        let said: Vec<String> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let said = said.join(", ");
        let filters = tags.iter().map(|(key, value)| filter(&format!("tag:{key}"), [literal(value)])).collect();
        let listed = self.list_vpcs(format!("looking for the VPC with the tags {said}"), filters).await?;
        // Filters are patterns: ask again for the very tags.
        let wanted = |vpc: &&ListedVpc| {
            tags.iter().all(|(k, v)| vpc.tags().iter().any(|tag| tag.key() == Some(k) && tag.value() == Some(v)))
        };
        let found: Vec<&ListedVpc> = listed.vpcs.iter().filter(wanted).collect();
        match found.as_slice() {
            [one] => read(one).ok_or_else(|| listed.unreadable()),
            [] => Err(final_error(
                listed.doing,
                "no VPC has them".to_owned(),
                "correct the tags or `region:`; `aws ec2 describe-vpcs` lists what there is",
            )),
            several => {
                let ids: Vec<&str> = several.iter().filter_map(|vpc| vpc.vpc_id()).collect();
                Err(final_error(
                    listed.doing,
                    format!("{} VPCs have them: {}", ids.len(), ids.join(", ")),
                    "write the id instead, or more tags",
                ))
            }
        }
    }

    async fn default_vpc(&self) -> Result<Vpc, CloudError> {
        let filters = vec![filter("is-default", ["true".to_owned()])];
        let listed = self.list_vpcs("looking for the default VPC".to_owned(), filters).await?;
        match listed.vpcs.first() {
            Some(vpc) => read(vpc).ok_or_else(|| listed.unreadable()),
            None => Err(final_error(
                listed.doing,
                "the region has no default VPC".to_owned(),
                "write `vpc: vpc-…` or `vpc: { tags: { Name: … } }` beside the network's `aws:` keys",
            )),
        }
    }

    async fn list_vpcs(&self, doing: String, filters: Vec<Filter>) -> Result<ListedVpcs, CloudError> {
        let clients = self.clients().await?;
        let doing = format!("{doing} in {}", clients.region);
        let answer = clients.ec2.describe_vpcs().set_filters(Some(filters)).send().await;
        let answer = answer.map_err(|e| self.failed(doing.clone(), Asked::ec2("DescribeVpcs"), &e))?;
        Ok(ListedVpcs { doing, vpcs: answer.vpcs.unwrap_or_default() })
    }
}

struct ListedVpcs {
    doing: String,
    vpcs: Vec<ListedVpc>,
}

impl ListedVpcs {
    fn unreadable(&self) -> CloudError {
        final_error(self.doing.clone(), "AWS lists a VPC without an id".to_owned(), crate::error::NOT_EC2)
    }
}

fn read(vpc: &ListedVpc) -> Option<Vpc> {
    let id = vpc.vpc_id()?.to_owned();
    Some(Vpc { id, name: name_tag(vpc), owner: vpc.owner_id().map(str::to_owned) })
}

fn name_tag(vpc: &ListedVpc) -> Option<String> {
    let name = vpc.tags().iter().find(|tag| tag.key() == Some("Name")).and_then(Tag::value)?;
    (!name.is_empty()).then(|| name.to_owned())
}

/// A filter on any of `values`.
pub(crate) fn filter(name: &str, values: impl IntoIterator<Item = String>) -> Filter {
    Filter::builder().name(name).set_values(Some(values.into_iter().collect())).build()
}

/// The filter value that matches `text` itself: in EC2's filters `*` and `?` are wildcards, and `\` takes that from them.
pub(crate) fn literal(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '\\') {
            value.push('\\');
        }
        value.push(c);
    }
    value
}
