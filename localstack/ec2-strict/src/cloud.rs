//! All accounts, and what happens to a call: faults, permission, tokens, then the action.

use std::time::Duration;

use http::StatusCode;
use rsgsync_core::rule::Direction::{Egress, Ingress};
use serde_json::{Value, json};

use crate::account::{Account, Others};
use crate::control::Settings;
use crate::error::Refusal;
use crate::fault::{self, Fault, Hits, Then};
use crate::filter::Pattern;
use crate::parameters::Parameters;
use crate::xml::Xml;
use crate::{groups, network, rules, tags};

#[derive(Default)]
pub(crate) struct Cloud {
    accounts: Others,
    /// VPCs that were ever made.
    vpcs: u64,
    calls: u64,
    pub(crate) faults: Vec<Fault>,
    pub(crate) log: Vec<Value>,
}

/// A call, before anything happens to it.
pub(crate) struct Call {
    account: String,
    action: String,
    parameters: Parameters,
    hits: Hits,
}

impl Call {
    /// How long it waits.
    pub(crate) fn delay(&self) -> Duration {
        Duration::from_millis(self.hits.milliseconds())
    }
}

/// What becomes of a call on the wire.
pub(crate) enum Outcome {
    Answer(Answer),
    Reset,
    Hang,
}

/// An answer, and what is wrong with it.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// Seconds.
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: String,
    /// The connection breaks in the middle of it.
    pub(crate) half: bool,
    /// Its second half is missing.
    pub(crate) garbled: bool,
}

impl Cloud {
    /// Takes a call in: its parameters, form-encoded, and the faults that hit it.
    pub(crate) fn take(&mut self, account: &str, form: &[u8]) -> Call {
        let mut parameters = Parameters::read(form);
        let action = parameters.take("Action").unwrap_or_default();
        parameters.take("Version");
        let hits = fault::take(&mut self.faults, account, &action);
        Call { account: account.to_owned(), action, parameters, hits }
    }

    /// Carries a call out, with all that hits it.
    pub(crate) fn carry_out(&mut self, call: Call) -> Outcome {
        let Call { account, action, parameters, hits } = call;
        self.calls += 1;
        let request_id = format!("{:08x}-0000-4000-8000-000000000000", self.calls);
        let (reset, hangs) = (hits.any(|t| matches!(t, Then::Reset)), hits.any(|t| matches!(t, Then::Hang)));
        if reset || hangs {
            self.note(&account, &action, &parameters, json!({ "status": null }));
            return if reset { Outcome::Reset } else { Outcome::Hang };
        }
        hits.writes_before().for_each(|form| self.by_a_stranger(&account, form));
        let answer = match hits.refusal() {
            Some(refusal) => Err(refusal),
            None => self.answer(&account, &action, parameters.clone()),
        };
        self.account(&account).pass();
        let lost = hits.any(|t| matches!(t, Then::Lose));
        let (status, code, retry_after, body) = match answer {
            Ok(xml) => (StatusCode::OK, None, None, xml.response(&action, &request_id)),
            Err(refusal) => {
                let body = refusal.body(&request_id);
                (refusal.status, Some(refusal.code), refusal.retry_after, body)
            }
        };
        let told = (!lost).then(|| status.as_u16());
        self.note(&account, &action, &parameters, json!({ "status": told, "code": code }));
        hits.writes_after().for_each(|form| self.by_a_stranger(&account, form));
        if lost {
            return Outcome::Reset;
        }
        let (half, garbled) = (hits.any(|t| matches!(t, Then::Half)), hits.any(|t| matches!(t, Then::Garble)));
        Outcome::Answer(Answer { status, retry_after, body, half, garbled })
    }

    pub(crate) fn set(&mut self, account: &str, settings: Settings) {
        let account = self.account(account);
        account.settings = settings;
        account.settle();
    }

    /// Forgets an account, its faults and its log, or all of them.
    pub(crate) fn reset(&mut self, account: Option<&str>) {
        self.accounts.retain(|number, _| account.is_some_and(|account| account != number));
        self.faults.retain(|fault| !fault.is_of(account));
        self.log.retain(|entry| account.is_some_and(|account| entry["account"] != account));
    }

    fn note(&mut self, account: &str, action: &str, parameters: &Parameters, outcome: Value) {
        let mut entry = json!({ "account": account, "action": action, "parameters": parameters.all() });
        if let (Value::Object(entry), Value::Object(outcome)) = (&mut entry, outcome) {
            entry.extend(outcome);
        }
        self.log.push(entry);
    }

    fn account(&mut self, number: &str) -> &mut Account {
        let vpcs = &mut self.vpcs;
        self.accounts.entry(number.to_owned()).or_insert_with(|| {
            *vpcs += 1;
            Account::new(number, *vpcs)
        })
    }

    /// Somebody else's call: no fault, no token, no policy.
    fn by_a_stranger(&mut self, account: &str, form: &str) {
        let mut parameters = Parameters::read(form.as_bytes());
        let action = parameters.take("Action").unwrap_or_default();
        let answer = self.act(account, &action, &mut parameters.clone());
        let code = answer.err().map(|refusal| format!("{}: {}", refusal.code, refusal.message));
        self.note(account, &action, &parameters, json!({ "stranger": true, "code": code }));
    }

    fn answer(&mut self, account: &str, action: &str, mut parameters: Parameters) -> Result<Xml, Refusal> {
        let dry = parameters.take("DryRun").is_some_and(|value| value == "true");
        let unfiltered = action.starts_with("Describe") && parameters.all().is_empty();
        let tags = parameters.has("TagSpecification");
        let Account { settings, buckets, .. } = self.account(account);
        if let Some(limits) = &settings.throttle
            && !buckets.take(limits, action, unfiltered, tokio::time::Instant::now())
        {
            return Err(Refusal::throttled(None));
        }
        if let Some(policy) = &settings.policy {
            // Tagging what a call makes needs a permission of its own.
            for needed in [Some(action), (tags && action != "CreateTags").then_some("CreateTags")].into_iter().flatten()
            {
                let permission = format!("ec2:{needed}");
                if !policy.iter().any(|allowed| Pattern::new(allowed).matches(&permission)) {
                    return Err(Refusal::unauthorized(&permission, account));
                }
            }
        }
        if dry {
            let message = "Request would have succeeded, but DryRun flag is set.";
            return Err(Refusal::new("DryRunOperation", message));
        }
        self.act(account, action, &mut parameters)
    }

    fn act(&mut self, number: &str, action: &str, parameters: &mut Parameters) -> Result<Xml, Refusal> {
        self.account(number);
        let Some(mut account) = self.accounts.remove(number) else {
            return Err(Refusal::new("InternalError", "the account is gone"));
        };
        let (acting, others) = (&mut account, &self.accounts);
        let answer = match action {
            "AuthorizeSecurityGroupEgress" => rules::authorize(acting, others, parameters, Egress),
            "AuthorizeSecurityGroupIngress" => rules::authorize(acting, others, parameters, Ingress),
            "CreateNetworkInterface" => network::create_interface(acting, parameters),
            "CreateSecurityGroup" => groups::create(acting, parameters),
            "CreateTags" => tags::change(acting, parameters, true),
            "CreateVpc" => {
                self.vpcs += 1;
                network::create_vpc(acting, parameters, self.vpcs)
            }
            "DeleteSecurityGroup" => groups::delete(acting, parameters),
            "DeleteTags" => tags::change(acting, parameters, false),
            "DescribeNetworkInterfaces" => network::describe_interfaces(acting, parameters),
            "DescribeSecurityGroupRules" => rules::describe(acting, parameters),
            "DescribeSecurityGroups" => groups::describe(acting, parameters),
            "DescribeSubnets" => network::describe_subnets(acting, parameters),
            "DescribeVpcs" => network::describe_vpcs(acting, parameters),
            "RevokeSecurityGroupEgress" => rules::revoke(acting, others, parameters, Egress),
            "RevokeSecurityGroupIngress" => rules::revoke(acting, others, parameters, Ingress),
            "UpdateSecurityGroupRuleDescriptionsEgress" => {
                rules::update_descriptions(acting, others, parameters, Egress)
            }
            "UpdateSecurityGroupRuleDescriptionsIngress" => {
                rules::update_descriptions(acting, others, parameters, Ingress)
            }
            _ => {
                let message = format!("The action {action} is not valid for this web service.");
                Err(Refusal::new("InvalidAction", message))
            }
        };
        self.accounts.insert(number.to_owned(), account);
        answer
    }
}
