/**
 * Sees how much memory a reader takes at once, and complains when the input is no reason for it.
 *
 * A length field that is believed before its bytes are there shows here, even when the
 * memory is given back a moment later. Replaces the functions of `Buffer` while it is on.
 */

export interface AllocationGuard {
  /** Of all inputs. */
  readonly largestBytes: number
  begin(): void
  /** Why the input just fed has taken too much. */
  complaint(inputBytes: number): string | undefined
  remove(): void
}

/** The longest thing that any reader gathers is 1 MiB; growing buffers double. */
const ALLOWED_BYTES = 2 * 1024 * 1024
const ALLOWED_FOR_EACH_BYTE = 4

const WATCHED = ['alloc', 'allocUnsafe', 'allocUnsafeSlow'] as const

export const guardAllocations = (): AllocationGuard => {
  const originals = WATCHED.map((name) => [name, Buffer[name]] as const)
  let largestBytes = 0
  let ofThisInput = 0
  for (const [name, original] of originals) {
    Buffer[name] = ((size: number, ...others: []) => {
      if (size > ofThisInput) ofThisInput = size
      return original(size, ...others)
    }) as typeof Buffer.alloc
  }
  return {
    get largestBytes() {
      return largestBytes
    },
    begin() {
      ofThisInput = 0
    },
    complaint(inputBytes) {
      largestBytes = Math.max(largestBytes, ofThisInput)
      if (ofThisInput <= ALLOWED_BYTES + ALLOWED_FOR_EACH_BYTE * inputBytes) return undefined
      return `took ${ofThisInput} bytes of memory at once for an input of ${inputBytes}`
    },
    remove() {
      for (const [name, original] of originals) Buffer[name] = original as typeof Buffer.alloc
    },
  }
}
