//! Every form: what it asks for, and where it leads.

mod host;

use crate::table::Form;

/// The table of forms.
pub const FORMS: &[Form] = &[
    Form { at: "/start", page: "/start", fields: host::JOIN, does: host::join, then: host::done },
    Form { at: "/unlock", page: "/unlock", fields: &["passphrase"], does: host::unlock, then: host::done },
    Form { at: "/lock", page: "/", fields: &[], does: host::lock, then: host::done },
    Form { at: "/language", page: "/", fields: &["language"], does: host::language, then: host::done },
    Form { at: "/homes", page: "/unlock", fields: &["home"], does: host::choose, then: host::done },
];
