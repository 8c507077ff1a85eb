/* The actions of `stageline audit`, each in a file of its own. */
#pragma once

extern const struct offline_action audit_verify, audit_prove, audit_export, audit_import;
