/* Scans of one, two or four bytes a character, 16 bytes at a time, in the vectors of gcc and clang for any machine. */
#include <stdint.h>
#include <string.h>

typedef uint8_t bytes_t __attribute__((vector_size(16)));
typedef uint16_t halves_t __attribute__((vector_size(16)));
typedef uint32_t quarters_t __attribute__((vector_size(16)));
typedef uint64_t words_t __attribute__((vector_size(16)));

static inline int any_bit(words_t bits) { return (bits[0] | bits[1]) != 0; }

/* Let signals and other threads have their turn, which no compiled loop does by itself, here or in its callers. Scans of
   all lines stand between the steps of cleaning, so that none of these keeps a long document for itself. */
static int take_turns(void) {
    Py_BEGIN_ALLOW_THREADS
    Py_END_ALLOW_THREADS
    return PyErr_CheckSignals();
}

#define SCANS(name, unit_t, vector_t)                                                                                  \
    static inline int is_unusual_##name(unit_t unit) {                                                                 \
        return (unit_t)(unit - 0x20) >= 0x5F && unit != 10 && unit != 9 && unit != 12;                                 \
    }                                                                                                                  \
    /* The first unusual character from a place on, or the size. */                                                   \
    static Py_ssize_t next_unusual_##name(const unit_t *units, Py_ssize_t at, Py_ssize_t size) {                       \
        const Py_ssize_t lanes = 16 / sizeof(unit_t);                                                                  \
        for (; at + lanes <= size; at += lanes) {                                                                      \
            vector_t block;                                                                                            \
            memcpy(&block, units + at, 16);                                                                            \
            if (any_bit((words_t)((vector_t)(block - 0x20) >= 0x5F)) && /* line ends are few */                        \
                any_bit((words_t)(((vector_t)(block - 0x20) >= 0x5F) & (block != 10) & (block != 9) & (block != 12)))) \
                break;                                                                                                 \
        }                                                                                                              \
        while (at < size && !is_unusual_##name(units[at])) at++;                                                       \
        return at;                                                                                                     \
    }                                                                                                                  \
    /* The first of one character from a place on, or the size. */                                                    \
    static Py_ssize_t next_of_##name(const unit_t *units, Py_ssize_t at, Py_ssize_t size, unit_t wanted) {             \
        const Py_ssize_t lanes = 16 / sizeof(unit_t);                                                                  \
        for (; at + lanes <= size; at += lanes) {                                                                      \
            vector_t block;                                                                                            \
            memcpy(&block, units + at, 16);                                                                            \
            if (any_bit((words_t)(block == wanted))) break;                                                            \
        }                                                                                                              \
        while (at < size && units[at] != wanted) at++;                                                                 \
        return at;                                                                                                     \
    }                                                                                                                  \
    /* Whether at a place there is a control sign, white space that is no single space, or a space before ,; */        \
    static inline int is_stop_##name(const unit_t *units, Py_ssize_t at, Py_ssize_t size) {                            \
        uint32_t unit = units[at], next = at + 1 < size ? units[at + 1] : 0;                                           \
        return (unit - 9) < 4 || unit == 0xA0 || (unit & ~0xFu) == 0xFDD0 ||                                           \
               (unit == 0x20 && (next == 0x20 || next == ',' || next == ';'));                                         \
    }                                                                                                                  \
    /* The first such place from one on, or the size. */                                                               \
    static Py_ssize_t next_stop_##name(const unit_t *units, Py_ssize_t at, Py_ssize_t size) {                          \
        const Py_ssize_t lanes = 16 / sizeof(unit_t);                                                                  \
        for (; at + lanes + 1 <= size; at += lanes) {                                                                  \
            vector_t a, b;                                                                                             \
            memcpy(&a, units + at, 16);                                                                                \
            memcpy(&b, units + at + 1, 16);                                                                            \
            if (any_bit((words_t)((((a - 9) & (unit_t)~3u) == 0) | (a == 0xA0) |                                       \
                                  ((a & (unit_t)~0xFu) == (unit_t)0xFDD0) |                                            \
                                  ((a == 0x20) & ((b == 0x20) | (b == ',') | (b == ';'))))))                           \
                for (Py_ssize_t lane = at; lane < at + lanes; lane++)                                                  \
                    if (is_stop_##name(units, lane, size)) return lane;                                                \
        }                                                                                                              \
        while (at < size && !is_stop_##name(units, at, size)) at++;                                                    \
        return at;                                                                                                     \
    }                                                                                                                  \
    /* Copy with small letters for ASCII capitals; all bits of all characters. */                                      \
    static unit_t in_small_##name(const unit_t *from, unit_t *to, Py_ssize_t size) {                                   \
        unit_t all = 0;                                                                                                \
        for (Py_ssize_t at = 0; at < size; at++) {                                                                     \
            unit_t unit = from[at];                                                                                    \
            all |= unit;                                                                                               \
            to[at] = unit + ((unit_t)(unit - 'A') < 26 ? 0x20 : 0);                                                    \
        }                                                                                                              \
        return all;                                                                                                    \
    }                                                                                                                  \
    static inline int is_part_##name(const unit_t *units, const char *part, Py_ssize_t length) {                       \
        for (Py_ssize_t at = 0; at < length; at++)                                                                     \
            if (units[at] != (unsigned char)part[at]) return 0;                                                        \
        return 1;                                                                                                      \
    }                                                                                                                  \
    /* Whether a text has a part of at least three ASCII characters. */                                                \
    static int has_part_##name(const unit_t *units, Py_ssize_t size, const char *part, Py_ssize_t length) {            \
        const Py_ssize_t lanes = 16 / sizeof(unit_t);                                                                  \
        Py_ssize_t at = 0, lane;                                                                                       \
        for (; at + lanes + length <= size; at += lanes) {                                                             \
            vector_t a, b, c;                                                                                          \
            memcpy(&a, units + at, 16);                                                                                \
            memcpy(&b, units + at + 1, 16);                                                                            \
            memcpy(&c, units + at + 2, 16);                                                                            \
            if (any_bit((words_t)((a == part[0]) & (b == part[1]) & (c == part[2]))))                                  \
                for (lane = at; lane < at + lanes; lane++)                                                             \
                    if (is_part_##name(units + lane, part, length)) return 1;                                          \
        }                                                                                                              \
        for (; at + length <= size; at++)                                                                              \
            if (is_part_##name(units + at, part, length)) return 1;                                                    \
        return 0;                                                                                                      \
    }                                                                                                                  \
    /* The first of two line breaks in a row from a place on, or the size. */                                         \
    static Py_ssize_t next_blank_##name(const unit_t *units, Py_ssize_t at, Py_ssize_t size) {                         \
        const Py_ssize_t lanes = 16 / sizeof(unit_t);                                                                  \
        for (; at + lanes + 1 <= size; at += lanes) {                                                                  \
            vector_t a, b;                                                                                             \
            memcpy(&a, units + at, 16);                                                                                \
            memcpy(&b, units + at + 1, 16);                                                                            \
            if (any_bit((words_t)((a == 10) & (b == 10)))) break;                                                      \
        }                                                                                                              \
        for (; at + 1 < size; at++)                                                                                    \
            if (units[at] == 10 && units[at + 1] == 10) return at;                                                     \
        return size;                                                                                                   \
    }
SCANS(1, uint8_t, bytes_t)
SCANS(2, uint16_t, halves_t)
SCANS(4, uint32_t, quarters_t)
