/** Door of the room `tokens`: the file of tokens, strictly read and carefully written. */

export { addToken, checkNewName, revokeToken } from './change-tokens.ts'
export { findToken, hashOf } from './find-token.ts'
export { isExpired, type TokenEntry, TOKEN_NAME_RULE, isTokenName } from './token-entry.ts'
export { readTokens } from './tokens-file.ts'
