/**
 * Keeps the memory for young objects as small as it is at the start.
 *
 *     a thousand connections come ─▶ their objects survive ─▶ V8 doubles that memory, up to 3 × 16 MiB    no more
 *
 * V8 means to save time by that; an agent saves none, measured, with its few and large buffers, and would keep
 * what a flood has made it take. The flag is read whenever V8 is about to grow it. Source: `SemiSpaceNewSpace::Grow`
 * in V8's heap/new-spaces.cc; `npm run faults -- --only strangers` measures what it is for.
 */

import { setFlagsFromString } from 'node:v8'

export const keepYoungHeapSmall = (): void => setFlagsFromString('--semi-space-growth-factor=1')
