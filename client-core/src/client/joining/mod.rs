//! How people and devices come: codes, invitations, and the devices of one person.

pub(crate) mod codes;
pub(crate) mod devices;
pub(crate) mod invitations;
