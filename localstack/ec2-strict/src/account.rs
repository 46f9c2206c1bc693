//! An account: its VPCs with their groups, its interfaces, and what was set for it.

use std::collections::BTreeMap;

use rsgsync_core::rule::Direction;
use rsgsync_core::traffic::Traffic;
use rsgsync_simulated::lag::Lag;
use rsgsync_simulated::throttle::Buckets;
use rsgsync_simulated::world::{Group, GroupRule, Peer, Permission, Tags, World, default_egress};

use crate::control::Settings;
use crate::error::Refusal;
use crate::parameters::Parameters;

#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) number: String,
    pub(crate) vpcs: Vec<Vpc>,
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) settings: Settings,
    pub(crate) buckets: Buckets,
}

#[derive(Debug)]
pub(crate) struct Vpc {
    pub(crate) id: String,
    pub(crate) subnet: String,
    pub(crate) is_default: bool,
    pub(crate) cidr: String,
    pub(crate) tags: Tags,
    world: World,
    lag: Lag,
}

/// A network interface.
#[derive(Debug)]
pub(crate) struct Interface {
    pub(crate) id: String,
    pub(crate) vpc: String,
    pub(crate) subnet: String,
    pub(crate) description: String,
    /// Ids and names.
    pub(crate) groups: Vec<(String, String)>,
}

/// Ids that no other VPC of the server gives out begin here.
const IDS_OF_A_VPC: u64 = 1 << 32;

impl Vpc {
    /// The `n`th VPC of the server, with its group `default`.
    pub(crate) fn new(n: u64, is_default: bool, cidr: &str, settings: &Settings) -> Self {
        let mut world = World::default();
        world.quota = settings.quota();
        world.last_id = n * IDS_OF_A_VPC;
        let (id, subnet, group) = (world.fresh_id("vpc"), world.fresh_id("subnet"), world.fresh_id("sg"));
        let from_itself =
            Permission { direction: Direction::Ingress, traffic: Traffic::ALL, peer: Peer::Group(group.clone()) };
        let rules = [from_itself, default_egress()].map(|permission| {
            let id = world.fresh_id("sgr");
            GroupRule { id, permission, description: String::new(), tags: Tags::new() }
        });
        world.insert(Group {
            id: group,
            name: "default".to_owned(),
            description: "default VPC security group".to_owned(),
            tags: Tags::new(),
            interfaces: 0,
            rules: rules.into(),
        });
        let cidr = cidr.to_owned();
        Self { id, subnet, is_default, cidr, tags: Tags::new(), world, lag: Lag::default() }
    }

    /// What is.
    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    /// What reads show.
    pub(crate) fn seen(&mut self) -> &World {
        self.lag.seen(&mut self.world)
    }
}

impl Account {
    /// With a default VPC, the `n`th of the server.
    pub(crate) fn new(number: &str, n: u64) -> Self {
        let settings = Settings::default();
        let vpc = Vpc::new(n, true, "172.31.0.0/16", &settings);
        let number = number.to_owned();
        Self { number, vpcs: vec![vpc], interfaces: Vec::new(), settings, buckets: Buckets::default() }
    }

    /// What is set for the account holds for its VPCs too.
    pub(crate) fn settle(&mut self) {
        let quota = self.settings.quota();
        self.vpcs.iter_mut().for_each(|vpc| vpc.world.quota = quota);
    }

    /// A call is over: what reads don't show yet is a call older.
    pub(crate) fn pass(&mut self) {
        self.vpcs.iter_mut().for_each(|vpc| vpc.lag.pass());
    }

    /// Changes a VPC's groups, or nothing where that is refused; reads may lag behind.
    pub(crate) fn change<T, E>(&mut self, vpc: usize, change: impl FnOnce(&mut World) -> Result<T, E>) -> Result<T, E> {
        let Vpc { world, lag, .. } = &mut self.vpcs[vpc];
        let before = (self.settings.lag > 0).then(|| world.clone());
        let changed = change(world)?;
        if let Some(before) = before {
            // One more: the call that makes the change passes, too.
            lag.hide_change(before, self.settings.lag + 1);
        }
        Ok(changed)
    }

    /// Where a group is; what writes find may lag as well.
    pub(crate) fn find(&mut self, id: &str) -> Result<usize, Refusal> {
        check_id(id, "sg", "InvalidGroupId.Malformed")?;
        let stale = self.settings.stale_writes;
        let has = |vpc: &mut Vpc| if stale { vpc.seen().find(id).is_some() } else { vpc.world.find(id).is_some() };
        self.vpcs.iter_mut().position(has).ok_or_else(|| Refusal::no_group(id))
    }

    /// The VPC and id of the group that `GroupId` or, in the default VPC, `GroupName` means.
    pub(crate) fn target(&mut self, parameters: &mut Parameters) -> Result<(usize, String), Refusal> {
        match (parameters.take("GroupId"), parameters.take("GroupName")) {
            (Some(id), None) => self.find(&id).map(|vpc| (vpc, id)),
            (None, Some(name)) => {
                let missing = || {
                    let message = format!("The security group '{name}' does not exist in default VPC");
                    Refusal::new("InvalidGroup.NotFound", message)
                };
                let vpc = self.vpcs.iter().position(|vpc| vpc.is_default).ok_or_else(missing)?;
                let group = self.vpcs[vpc].world.find(&name).ok_or_else(missing)?;
                Ok((vpc, group.id.clone()))
            }
            (Some(_), Some(_)) => Err(Refusal::new(
                "InvalidParameterCombination",
                "The parameter GroupName cannot be used with the parameter GroupId",
            )),
            (None, None) => Err(Refusal::new("MissingParameter", "The request must contain GroupId or GroupName")),
        }
    }

    /// The VPC with this id.
    pub(crate) fn vpc(&self, id: &str) -> Result<usize, Refusal> {
        check_id(id, "vpc", "InvalidVpcId.Malformed")?;
        let missing = || Refusal::new("InvalidVpcID.NotFound", format!("The vpc ID '{id}' does not exist"));
        self.vpcs.iter().position(|vpc| vpc.id == id).ok_or_else(missing)
    }
}

/// Refuses what isn't `PREFIX-` and 8 to 17 hexadecimal digits.
pub(crate) fn check_id(id: &str, prefix: &str, code: &str) -> Result<(), Refusal> {
    let digits = id.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-')).unwrap_or_default();
    if (8..=17).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(());
    }
    Err(Refusal::new(code, format!("Invalid id: \"{id}\" (expecting \"{prefix}-...\")")))
}

/// Other accounts, by number.
pub(crate) type Others = BTreeMap<String, Account>;
