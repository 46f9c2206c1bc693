//! Lists in pages: `MaxResults` and an opaque `NextToken`.

use std::ops::RangeInclusive;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::Refusal;
use crate::parameters::Parameters;

/// The sizes that a caller may ask for. Source: EC2 API reference, DescribeSecurityGroups.
const SIZES: RangeInclusive<usize> = 5..=1000;

/// What is asked for of a list.
pub(crate) struct Page {
    most: usize,
    /// The id behind which the page begins.
    after: Option<String>,
    /// Of the question: a token is good for one.
    digest: u64,
}

impl Page {
    /// Takes the page out of the parameters, which then are the question. Answers are no longer than `longest`.
    pub(crate) fn read(parameters: &mut Parameters, longest: Option<usize>) -> Result<Self, Refusal> {
        let asked: Option<usize> = parameters.number("MaxResults")?;
        if let Some(wrong) = asked.filter(|most| !SIZES.contains(most)) {
            return Err(Refusal::wrong(format!(
                "Value ( {wrong} ) for parameter maxResults is invalid. Expecting a value from {} to {}.",
                SIZES.start(),
                SIZES.end()
            )));
        }
        // Who doesn't ask for pages gets everything.
        let most = asked.map_or(usize::MAX, |asked| longest.map_or(asked, |longest| asked.min(longest)));
        let token = parameters.take("NextToken");
        let digest = parameters.digest();
        let after = token.map(|token| after(&token, digest)).transpose()?;
        Ok(Self { most, after, digest })
    }

    /// The page of `items`, which are sorted by `id`, and the token for the next one.
    pub(crate) fn cut<T>(self, mut items: Vec<T>, id: impl Fn(&T) -> String) -> (Vec<T>, Option<String>) {
        items.retain(|item| self.after.as_ref().is_none_or(|after| id(item) > *after));
        if items.len() <= self.most {
            return (items, None);
        }
        items.truncate(self.most);
        let last = items.last().map(|last| format!("{:016x} {}", self.digest, id(last)));
        (items, last.map(|last| URL_SAFE_NO_PAD.encode(last)))
    }
}

fn after(token: &str, digest: u64) -> Result<String, Refusal> {
    let text = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let id = text.as_deref().and_then(|text| text.strip_prefix(&format!("{digest:016x} ")));
    let refusal =
        || Refusal::new("InvalidPaginationToken", "The specified pagination token is not valid or is expired.");
    id.map(str::to_owned).ok_or_else(refusal)
}
