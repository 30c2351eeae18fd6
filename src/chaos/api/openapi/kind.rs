//! What has a `type`: stages, triggers, behaviors.

use serde_json::Value;
use utoipa::openapi::{
    ComponentsBuilder, Discriminator, ObjectBuilder, OneOfBuilder, Ref, RefOr, Schema, Type,
};

use super::values::{null, one_of_texts, or_null};

/// One type, with its fields.
pub(super) struct Kind {
    name: &'static str,
    about: &'static str,
    example: Value,
    forms: Vec<ObjectBuilder>,
}

impl Kind {
    pub(super) fn new(name: &'static str, about: &'static str, example: Value) -> Self {
        Self {
            name,
            about,
            example,
            forms: vec![form(name)],
        }
    }

    /// With such a field. It belongs to the form that was begun last.
    pub(super) fn needs(self, field: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        self.with(|form| form.property(field, schema).required(field))
    }

    /// Perhaps with such a field. As everywhere in documents, `null` is as if it were missing.
    pub(super) fn may_have(self, field: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        self.with(|form| form.property(field, or_null(schema)))
    }

    /// Without such a field, which other forms have.
    pub(super) fn has_no(self, field: &str) -> Self {
        self.with(|form| form.property(field, null()))
    }

    /// Or with other fields than those so far.
    pub(super) fn or(mut self) -> Self {
        self.forms.push(form(self.name));
        self
    }

    /// The same in all forms.
    pub(super) fn all_may_have(mut self, field: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        let schema = or_null(schema);
        self.forms = self
            .forms
            .into_iter()
            .map(|form| form.property(field, schema.clone()))
            .collect();
        self
    }

    fn with(mut self, add: impl FnOnce(ObjectBuilder) -> ObjectBuilder) -> Self {
        if let Some(form) = self.forms.pop() {
            self.forms.push(add(form));
        }
        self
    }

    fn schema(mut self) -> Schema {
        let (about, example) = (Some(self.about), self.example);
        if self.forms.len() == 1 {
            let form = self.forms.remove(0);
            return form.description(about).examples([example]).into();
        }
        let mut all = OneOfBuilder::new().description(about).examples([example]);
        for form in self.forms {
            all = all.item(form);
        }
        all.into()
    }
}

fn form(name: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("type", one_of_texts(&[name]))
        .required("type")
}

/// All of a family, each as a component of its own, told apart by `type`.
pub(super) fn family(
    mut components: ComponentsBuilder,
    family: &str,
    about: &str,
    kinds: Vec<Kind>,
) -> ComponentsBuilder {
    let mut all = OneOfBuilder::new().description(Some(about));
    let mut mapping = Vec::new();
    for kind in kinds {
        let name = format!("{family}{}", pascal(kind.name));
        let at = Ref::from_schema_name(&name);
        mapping.push((kind.name, at.ref_location.clone()));
        all = all.item(at);
        components = components.schema(name, kind.schema());
    }
    let discriminator = Discriminator::with_mapping("type", mapping);
    components.schema(family, all.discriminator(Some(discriminator)))
}

/// `set-header` as `SetHeader`.
fn pascal(name: &str) -> String {
    let upper = |part: &str| {
        let (first, rest) = part.split_at(1);
        first.to_ascii_uppercase() + rest
    };
    name.split('-').map(upper).collect()
}
