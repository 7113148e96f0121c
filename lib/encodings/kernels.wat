;; The inner loops of base64 and uuencode, sixteen bytes at a time.
;;
;;     raw    aaaaaaaa bbbbbbbb cccccccc   three bytes, four times in a vector
;;     wire   ch   ch    ch   ch           four characters, four times in a vector
;;
;; They know whole lines only, and short ones of a uuencode frame; everything that is odd (the end of
;; a stream, a line that is cut, a character that may not stand there) is left to the JavaScript
;; beside them, which also says what is wrong with it. When this is assembled (test/setup/assemble-kernels.mjs) the
;; functions at the top are inlined, and constants are held in registers.
;;
;; Who calls gives addresses in the memory, and keeps 16 bytes of room behind everything: vectors
;; are read and written whole, and what was written too much is written over by what comes next.
;;
;; Method: Wojciech Muła and Daniel Lemire, "Faster Base64 Encoding and Decoding using AVX2
;; Instructions" (2018), in the instructions that WebAssembly has. Rules: PROTOCOL.md, "Stream encodings".

(module
  ;; 4 MiB: the largest block raw, and dressed twice. Pages that are not used are not taken from the machine.
  (memory (export "memory") 64 64)

  ;; Twelve raw bytes at the front of a vector -> sixteen sextets.
  ;;   a group as two words of 16 bits: b1 b0 | b2 b1, in which every sextet stands whole
  (func $sextets (param $raw v128) (result v128)
    (local $words v128)
    (local.set $words
      (i8x16.shuffle 1 0 2 1  4 3 5 4  7 6 8 7  10 9 11 10 (local.get $raw) (local.get $raw)))
    (v128.or
      (v128.or
        (i32x4.shr_u
          (v128.and (local.get $words) (v128.const i32x4 0x0000fc00 0x0000fc00 0x0000fc00 0x0000fc00))
          (i32.const 10))
        (i32x4.shr_u
          (v128.and (local.get $words) (v128.const i32x4 0x0fc00000 0x0fc00000 0x0fc00000 0x0fc00000))
          (i32.const 6)))
      ;; Two shifts to the left by different distances: a multiplication.
      (i16x8.mul
        (v128.and (local.get $words) (v128.const i32x4 0x003f03f0 0x003f03f0 0x003f03f0 0x003f03f0))
        (v128.const i32x4 0x01000010 0x01000010 0x01000010 0x01000010))))

  ;; Sixteen sextets -> sixteen raw bytes of which the first twelve count.
  (func $bytes (param $sextets v128) (result v128)
    (local $numbers v128)
    (local.set $numbers
      (i32x4.dot_i16x8_s
        (v128.or
          (v128.and
            (i16x8.shl (local.get $sextets) (i32.const 6))
            (v128.const i16x8 0x0fc0 0x0fc0 0x0fc0 0x0fc0 0x0fc0 0x0fc0 0x0fc0 0x0fc0))
          (i16x8.shr_u (local.get $sextets) (i32.const 8)))
        (v128.const i16x8 0x1000 1 0x1000 1 0x1000 1 0x1000 1)))
    (i8x16.shuffle 2 1 0  6 5 4  10 9 8  14 13 12  3 3 3 3 (local.get $numbers) (local.get $numbers)))

  ;; The alphabet is five ranges: a sextet is moved by the distance of its range.
  (func $base64_characters (param $sextets v128) (result v128)
    (i8x16.add
      (local.get $sextets)
      (i8x16.swizzle
        (v128.const i8x16 71 -4 -4 -4 -4 -4 -4 -4 -4 -4 -4 -19 -16 65 0 0)
        (v128.or
          (i8x16.sub_sat_u
            (local.get $sextets)
            (v128.const i8x16 51 51 51 51 51 51 51 51 51 51 51 51 51 51 51 51))
          (v128.and
            (i8x16.lt_s
              (local.get $sextets)
              (v128.const i8x16 26 26 26 26 26 26 26 26 26 26 26 26 26 26 26 26))
            (v128.const i8x16 13 13 13 13 13 13 13 13 13 13 13 13 13 13 13 13))))))

  ;; Space and up, but the zero comes last: (sextet - 1) mod 64 + 33.
  (func $uuencode_characters (param $sextets v128) (result v128)
    (i8x16.add
      (v128.and
        (i8x16.add
          (local.get $sextets)
          (v128.const i8x16 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1))
        (v128.const i8x16 63 63 63 63 63 63 63 63 63 63 63 63 63 63 63 63))
      (v128.const i8x16 33 33 33 33 33 33 33 33 33 33 33 33 33 33 33 33)))

  (func $write_base64 (param $raw i32) (param $wire i32)
    (v128.store align=1 (local.get $wire)
      (call $base64_characters (call $sextets (v128.load align=1 (local.get $raw))))))

  (func $write_uuencode (param $raw i32) (param $wire i32)
    (v128.store align=1 (local.get $wire)
      (call $uuencode_characters (call $sextets (v128.load align=1 (local.get $raw))))))

  ;; Whole lines: 57 raw bytes are 76 characters and a line feed.
  (func (export "writeBase64Lines") (param $raw i32) (param $lines i32) (param $wire i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $raw) (i32.mul (local.get $lines) (i32.const 57))))
    (block $done
      (loop $line
        (br_if $done (i32.ge_u (local.get $raw) (local.get $end)))
        (call $write_base64 (local.get $raw) (local.get $wire))
        (call $write_base64 (i32.add (local.get $raw) (i32.const 12)) (i32.add (local.get $wire) (i32.const 16)))
        (call $write_base64 (i32.add (local.get $raw) (i32.const 24)) (i32.add (local.get $wire) (i32.const 32)))
        (call $write_base64 (i32.add (local.get $raw) (i32.const 36)) (i32.add (local.get $wire) (i32.const 48)))
        (call $write_base64 (i32.add (local.get $raw) (i32.const 48)) (i32.add (local.get $wire) (i32.const 64)))
        (i32.store8 offset=76 (local.get $wire) (i32.const 0x0a))
        (local.set $raw (i32.add (local.get $raw) (i32.const 57)))
        (local.set $wire (i32.add (local.get $wire) (i32.const 77)))
        (br $line))))

  ;; Whole lines: 45 raw bytes are an M, 60 characters and a line feed.
  (func $write_uuencode_lines (export "writeUuencodeLines") (param $raw i32) (param $lines i32) (param $wire i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $raw) (i32.mul (local.get $lines) (i32.const 45))))
    (block $done
      (loop $line
        (br_if $done (i32.ge_u (local.get $raw) (local.get $end)))
        (i32.store8 (local.get $wire) (i32.const 0x4d))
        (call $write_uuencode (local.get $raw) (i32.add (local.get $wire) (i32.const 1)))
        (call $write_uuencode (i32.add (local.get $raw) (i32.const 12)) (i32.add (local.get $wire) (i32.const 17)))
        (call $write_uuencode (i32.add (local.get $raw) (i32.const 24)) (i32.add (local.get $wire) (i32.const 33)))
        (call $write_uuencode (i32.add (local.get $raw) (i32.const 36)) (i32.add (local.get $wire) (i32.const 49)))
        (i32.store8 offset=61 (local.get $wire) (i32.const 0x0a))
        (local.set $raw (i32.add (local.get $raw) (i32.const 45)))
        (local.set $wire (i32.add (local.get $wire) (i32.const 62)))
        (br $line))))

  ;; One line of 1 to 44 raw bytes, the last group filled up with zeros.
  (func $write_uuencode_rest (param $raw i32) (param $raw_bytes i32) (param $wire i32)
    (local $at i32)
    (local $to i32)
    (i32.store8 (local.get $wire) (i32.add (local.get $raw_bytes) (i32.const 0x20)))
    (local.set $to (i32.add (local.get $wire) (i32.const 1)))
    (loop $vector
      (v128.store align=1 (local.get $to)
        (call $uuencode_characters
          (call $sextets
            (v128.and
              (v128.load align=1 (i32.add (local.get $raw) (local.get $at)))
              (i8x16.lt_u
                (v128.const i8x16 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
                (i8x16.splat (i32.sub (local.get $raw_bytes) (local.get $at))))))))
      (local.set $to (i32.add (local.get $to) (i32.const 16)))
      (local.set $at (i32.add (local.get $at) (i32.const 12)))
      (br_if $vector (i32.lt_u (local.get $at) (local.get $raw_bytes))))
    (i32.store8
      (i32.add (local.get $wire) (call $rest_line_bytes_but_one (local.get $raw_bytes)))
      (i32.const 0x0a)))

  ;; Bytes of a line of 1 to 44 raw bytes, without its line feed.
  (func $rest_line_bytes_but_one (param $raw_bytes i32) (result i32)
    (i32.add
      (i32.const 1)
      (i32.shl (i32.div_u (i32.add (local.get $raw_bytes) (i32.const 2)) (i32.const 3)) (i32.const 2))))

  ;; Frames of `unit_bytes` raw bytes each, the last one of what is left. Returns the bytes they take on the wire.
  (func (export "writeUuencodeFrames")
    (param $raw i32) (param $raw_bytes i32) (param $unit_bytes i32) (param $wire i32) (result i32)
    (local $begin i32)
    (local $left i32)
    (local $frame i32)
    (local $lines i32)
    (local $rest i32)
    (local $body i32)
    (local.set $begin (local.get $wire))
    (local.set $left (local.get $raw_bytes))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $left)))
        (local.set $frame
          (select (local.get $unit_bytes) (local.get $left) (i32.lt_u (local.get $unit_bytes) (local.get $left))))
        (local.set $left (i32.sub (local.get $left) (local.get $frame)))
        (local.set $lines (i32.div_u (local.get $frame) (i32.const 45)))
        (local.set $rest (i32.sub (local.get $frame) (i32.mul (local.get $lines) (i32.const 45))))
        (local.set $body (i32.mul (local.get $lines) (i32.const 62)))
        (if (local.get $rest)
          (then
            (local.set $body
              (i32.add
                (local.get $body)
                (i32.add (call $rest_line_bytes_but_one (local.get $rest)) (i32.const 1))))))
        (i32.store8 (local.get $wire) (i32.shr_u (local.get $body) (i32.const 24)))
        (i32.store8 offset=1 (local.get $wire) (i32.shr_u (local.get $body) (i32.const 16)))
        (i32.store8 offset=2 (local.get $wire) (i32.shr_u (local.get $body) (i32.const 8)))
        (i32.store8 offset=3 (local.get $wire) (local.get $body))
        (local.set $wire (i32.add (local.get $wire) (i32.const 4)))
        (call $write_uuencode_lines (local.get $raw) (local.get $lines) (local.get $wire))
        (if (local.get $rest)
          (then
            (call $write_uuencode_rest
              (i32.add (local.get $raw) (i32.mul (local.get $lines) (i32.const 45)))
              (local.get $rest)
              (i32.add (local.get $wire) (i32.mul (local.get $lines) (i32.const 62))))))
        (local.set $raw (i32.add (local.get $raw) (local.get $frame)))
        (local.set $wire (i32.add (local.get $wire) (local.get $body)))
        (br $next)))
    (i32.sub (local.get $wire) (local.get $begin)))

  ;; What is wrong with sixteen characters: no bit at all when all are of the alphabet. The two tables share a bit
  ;; where a high half and a low half do not go together.
  (func $base64_faults (param $characters v128) (param $high v128) (result v128)
    (v128.and
      (i8x16.swizzle
        (v128.const i8x16 0x15 0x11 0x11 0x11 0x11 0x11 0x11 0x11 0x11 0x11 0x13 0x1a 0x1b 0x1b 0x1b 0x1a)
        (v128.and
          (local.get $characters)
          (v128.const i8x16 15 15 15 15 15 15 15 15 15 15 15 15 15 15 15 15)))
      (i8x16.swizzle
        (v128.const i8x16 0x10 0x10 0x01 0x02 0x04 0x08 0x04 0x08 0x10 0x10 0x10 0x10 0x10 0x10 0x10 0x10)
        (local.get $high))))

  ;; The upper four bits of each.
  (func $high_halves (param $characters v128) (result v128)
    (v128.and
      (i32x4.shr_u (local.get $characters) (i32.const 4))
      (v128.const i8x16 15 15 15 15 15 15 15 15 15 15 15 15 15 15 15 15)))

  ;; Ranges again, told by the upper half; only the slash shares its own with another, the plus.
  (func $base64_sextets (param $characters v128) (param $high v128) (result v128)
    (i8x16.add
      (local.get $characters)
      (i8x16.swizzle
        (v128.const i8x16 0 16 19 4 -65 -65 -71 -71 0 0 0 0 0 0 0 0)
        (i8x16.add
          (local.get $high)
          (i8x16.eq
            (local.get $characters)
            (v128.const i8x16 0x2f 0x2f 0x2f 0x2f 0x2f 0x2f 0x2f 0x2f 0x2f 0x2f 0x2f 0x2f 0x2f 0x2f 0x2f 0x2f))))))

  ;; Takes whole lines for as long as they are good. Returns how many: the next one is for others to judge.
  (func (export "readBase64Lines") (param $wire i32) (param $lines i32) (param $raw i32) (result i32)
    (local $good i32)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128) (local $e v128)
    (local $ha v128) (local $hb v128) (local $hc v128) (local $hd v128) (local $he v128)
    (block $done
      (loop $line
        (br_if $done (i32.ge_u (local.get $good) (local.get $lines)))
        (br_if $done (i32.ne (i32.load8_u offset=76 (local.get $wire)) (i32.const 0x0a)))
        (local.set $ha (call $high_halves (local.tee $a (v128.load align=1 (local.get $wire)))))
        (local.set $hb (call $high_halves (local.tee $b (v128.load offset=16 align=1 (local.get $wire)))))
        (local.set $hc (call $high_halves (local.tee $c (v128.load offset=32 align=1 (local.get $wire)))))
        (local.set $hd (call $high_halves (local.tee $d (v128.load offset=48 align=1 (local.get $wire)))))
        ;; The last twelve characters, with four that were there before.
        (local.set $he (call $high_halves (local.tee $e (v128.load offset=60 align=1 (local.get $wire)))))
        ;; Before they are judged: V8 keeps fewer vectors at once so, and what is written of a bad line counts for nothing.
        (v128.store align=1 (local.get $raw)
          (call $bytes (call $base64_sextets (local.get $a) (local.get $ha))))
        (v128.store offset=12 align=1 (local.get $raw)
          (call $bytes (call $base64_sextets (local.get $b) (local.get $hb))))
        (v128.store offset=24 align=1 (local.get $raw)
          (call $bytes (call $base64_sextets (local.get $c) (local.get $hc))))
        (v128.store offset=36 align=1 (local.get $raw)
          (call $bytes (call $base64_sextets (local.get $d) (local.get $hd))))
        (v128.store offset=45 align=1 (local.get $raw)
          (call $bytes (call $base64_sextets (local.get $e) (local.get $he))))
        (br_if $done
          (v128.any_true
            (v128.or
              (v128.or
                (v128.or
                  (call $base64_faults (local.get $a) (local.get $ha))
                  (call $base64_faults (local.get $b) (local.get $hb)))
                (v128.or
                  (call $base64_faults (local.get $c) (local.get $hc))
                  (call $base64_faults (local.get $d) (local.get $hd))))
              (call $base64_faults (local.get $e) (local.get $he)))))
        (local.set $wire (i32.add (local.get $wire) (i32.const 77)))
        (local.set $raw (i32.add (local.get $raw) (i32.const 57)))
        (local.set $good (i32.add (local.get $good) (i32.const 1)))
        (br $line)))
    (local.get $good))

  ;; Space (0x20) becomes 0x80, grave accent (0x60) 0xc0: what is good are the most negative numbers, and the sextet is
  ;; in the lower six bits.
  (func $moved (param $characters v128) (result v128)
    (i8x16.add
      (local.get $characters)
      (v128.const i8x16 0x60 0x60 0x60 0x60 0x60 0x60 0x60 0x60 0x60 0x60 0x60 0x60 0x60 0x60 0x60 0x60)))

  (func $uuencode_faults (param $moved v128) (result v128)
    (i8x16.gt_s
      (local.get $moved)
      (v128.const i8x16 -64 -64 -64 -64 -64 -64 -64 -64 -64 -64 -64 -64 -64 -64 -64 -64)))

  (func $uuencode_bytes (param $moved v128) (result v128)
    (call $bytes
      (v128.and
        (local.get $moved)
        (v128.const i8x16 63 63 63 63 63 63 63 63 63 63 63 63 63 63 63 63))))

  ;; As readBase64Lines, for lines of 45 raw bytes.
  (func (export "readUuencodeLines") (param $wire i32) (param $lines i32) (param $raw i32) (result i32)
    (local $good i32)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (block $done
      (loop $line
        (br_if $done (i32.ge_u (local.get $good) (local.get $lines)))
        (br_if $done (i32.ne (i32.load8_u (local.get $wire)) (i32.const 0x4d)))
        (br_if $done (i32.ne (i32.load8_u offset=61 (local.get $wire)) (i32.const 0x0a)))
        (local.set $a (call $moved (v128.load offset=1 align=1 (local.get $wire))))
        (local.set $b (call $moved (v128.load offset=17 align=1 (local.get $wire))))
        (local.set $c (call $moved (v128.load offset=33 align=1 (local.get $wire))))
        ;; The last twelve characters, with four that were there before.
        (local.set $d (call $moved (v128.load offset=45 align=1 (local.get $wire))))
        (br_if $done
          (v128.any_true
            (v128.or
              (v128.or (call $uuencode_faults (local.get $a)) (call $uuencode_faults (local.get $b)))
              (v128.or (call $uuencode_faults (local.get $c)) (call $uuencode_faults (local.get $d))))))
        (v128.store align=1 (local.get $raw) (call $uuencode_bytes (local.get $a)))
        (v128.store offset=12 align=1 (local.get $raw) (call $uuencode_bytes (local.get $b)))
        (v128.store offset=24 align=1 (local.get $raw) (call $uuencode_bytes (local.get $c)))
        (v128.store offset=33 align=1 (local.get $raw) (call $uuencode_bytes (local.get $d)))
        (local.set $wire (i32.add (local.get $wire) (i32.const 62)))
        (local.set $raw (i32.add (local.get $raw) (i32.const 45)))
        (local.set $good (i32.add (local.get $good) (i32.const 1)))
        (br $line)))
    (local.get $good))
)
