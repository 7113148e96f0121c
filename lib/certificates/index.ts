/** Door of the room `certificates`: files of certificates and keys, read and looked at; speaks to nobody. */

export { alternativeNames, type CertificateFacts, commonNames, factsOf, readCertificates } from './certificate-facts.ts'
export { daysLeft, EXPIRY_WARNING_DAYS, expiryWarning } from './expiry.ts'
export { type Authorities, type Identity, type IdentityFiles, readAuthorities, readIdentity } from './identity.ts'
export { fingerprintOf, type Side } from './trusted-file.ts'
export { AUTHORITY_DAYS, LEAF_DAYS, type MadeCertificate, makeAuthority, makeCertificate } from './private-authority.ts'
