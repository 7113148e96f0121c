/**
 * The inner loops of base64 and uuencode in WebAssembly, where the machine has it.
 *
 *     raw ─copy─▶ │ in ▒▒▒▒▒▒▒▒ │ out ▒▒▒▒▒ │ out ▒▒▒▒▒ │ … │ ─▶ wire: views of it
 *                    a memory for each long stream, one for all that are short
 *
 * What they give is handed on as it stands there (`kernel-places.ts`), so a stream has a memory to itself; it goes when
 * the last of its views does. To make one takes as long as to dress a megabyte: a stream begins with the memory of all,
 * and what it gives is copied out of there. Where there can be none (a Node without WebAssembly, a processor without
 * SIMD, a limit on address space that leaves no room for the guards around the memory) the plain JavaScript does the
 * same work, byte for byte, more slowly.
 *
 * Source of the loops: kernels.wat, beside this file.
 */

import { KERNELS_WASM } from './kernels.wat.js'

/** Addresses are offsets in `memory`. What they give at a call counts until the next one. */
export interface Kernels {
  /** Everything, as bytes. Never grows, so it never moves. */
  readonly memory: Buffer
  writeBase64Lines(raw: number, lines: number, wire: number): void
  writeUuencodeLines(raw: number, lines: number, wire: number): void
  /** @returns bytes written */
  writeUuencodeFrames(raw: number, rawBytes: number, unitBytes: number, wire: number): number
  /** @returns how many lines were good, from the first on */
  readBase64Lines(wire: number, lines: number, raw: number): number
  readUuencodeLines(wire: number, lines: number, raw: number): number
}

/** Where the input lies. */
export const IN_AT = 1024
/** The largest block, and room behind it. */
export const MAX_IN_BYTES = 1_048_576 + 65_536
/** Where the output lies: not a whole number of pages behind the input, or writing would seem to overtake reading. */
export const OUT_AT = MAX_IN_BYTES + 4096 + 2048

/** The part of WebAssembly that is used here: Node's types do not have it. */
interface WebAssemblyHere {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: object }
}

type Exports = Omit<Kernels, 'memory'> & { readonly memory: { readonly buffer: ArrayBuffer } }

type Module = InstanceType<WebAssemblyHere['Module']>

/** Compiled once, when it is first needed. */
let compiled: Module | undefined

let common: { readonly kernels: Kernels | undefined } | undefined

/** Kernels that everybody uses, one call at a time. @returns undefined where this machine has none */
export const sharedKernels = (): Kernels | undefined => {
  common ??= { kernels: makeKernels() }
  return common.kernels
}

/** A stream of so many bytes, raw ones or of the wire, is worth a memory of its own. */
const OWN_FROM_BYTES = 256 * 1024

/** Which kernels a stream uses: those of all at first, then its own. */
export class OwnKernels<Use> {
  readonly #use: (kernels: Kernels, isShared: boolean) => Use
  #current: Use
  #bytes = 0
  #isDecided = false

  /** @param use what is made of kernels, to be used */
  constructor(shared: Kernels, use: (kernels: Kernels, isShared: boolean) => Use) {
    this.#use = use
    this.#current = use(shared, true)
  }

  get current(): Use {
    return this.#current
  }

  /** For so many bytes that come now. */
  for(bytes: number): Use {
    this.#bytes += bytes
    if (this.#isDecided || this.#bytes < OWN_FROM_BYTES) return this.#current
    this.#isDecided = true
    const own = makeKernels()
    if (own !== undefined) this.#current = this.#use(own, false)
    return this.#current
  }
}

/** Kernels with a memory of their own. @returns undefined where this machine has none */
const makeKernels = (): Kernels | undefined => {
  const { WebAssembly } = globalThis as { WebAssembly?: WebAssemblyHere }
  if (WebAssembly === undefined) return undefined
  try {
    compiled ??= new WebAssembly.Module(Buffer.from(KERNELS_WASM, 'base64'))
    const instance = new WebAssembly.Instance(compiled)
    const { memory, ...functions } = instance.exports as Exports
    return { ...functions, memory: Buffer.from(memory.buffer) }
  } catch {
    return undefined // instructions that it does not know, or no room for the memory: what is wrong does not matter
  }
}
