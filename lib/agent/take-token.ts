/**
 * Takes the token out of a request, so that nothing behind the question of access ever holds it.
 *
 * An empty one is none: deployed clients send keys without values. Pure.
 */

import { AGENT_TOKEN_KEY, type KvBlock } from '../protocol/index.ts'

export const takeToken = (block: KvBlock): { readonly token: string | undefined; readonly rest: KvBlock } => {
  if (!block.has(AGENT_TOKEN_KEY)) return { token: undefined, rest: block }
  const rest = new Map(block)
  rest.delete(AGENT_TOKEN_KEY)
  return { token: block.get(AGENT_TOKEN_KEY) || undefined, rest }
}
