/**
 * Keeps the memory for young objects as small as it is at the start, and has one thread look through it.
 *
 *     a thousand connections come ─▶ their objects survive ─▶ V8 doubles that memory, up to 3 × 16 MiB    no more
 *     a megabyte is full ─▶ V8 shares the look through it among threads, and waits until each was there    no more
 *
 * V8 means to save time by both; an agent saves none, measured, with its few and large buffers. It would keep
 * what a flood has made it take; and where other programs want the processors, the threads for a megabyte come later
 * than one alone is done, and a client waits for them. The flags are read whenever V8 is about to grow it, and to look
 * through it. Source: `SemiSpaceNewSpace::Grow` in V8's heap/new-spaces.cc, `ScavengerCollector::NumberOfScavengeTasks`
 * in heap/scavenger.cc; `npm run faults -- --only strangers` measures what the first is for, `npm run bench -- --only
 * ready-slowest` the second.
 */

import { setFlagsFromString } from 'node:v8'

export const keepYoungHeapSmall = (): void => {
  setFlagsFromString('--semi-space-growth-factor=1')
  setFlagsFromString('--no-parallel-scavenge')
}
