# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, binding=False
"""The compiled form of `sentence_starts.py`: the search of nupunkt, which is asked only what it decides about a place.

Each place is decided by the words beside it and by nothing else, so the last come first and the others may be left
alone. Another version of nupunkt may search in another way; then it does all.
"""

import nupunkt

from cpython.unicode cimport PyUnicode_Substring
from libc.stdint cimport uint8_t
from libc.stdlib cimport free, realloc

cdef extern from "Python.h":
    int PyUnicode_KIND(object text)
    void* PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    Py_UCS4 PyUnicode_READ(int kind, void* data, Py_ssize_t index)
    bint Py_UNICODE_ISSPACE(Py_UCS4 sign) nogil

cdef enum:
    STOP = 1
    CLOSING = 2
    AFTER = 4
    LETTER = 8
    ALONE = 16

cdef uint8_t _KINDS[128]
for _sign in ".!?":
    _KINDS[<Py_UCS4>_sign] |= STOP
for _sign in "\"')]}*":
    _KINDS[<Py_UCS4>_sign] |= CLOSING
for _sign in ")\";}]*:@({[!?":
    _KINDS[<Py_UCS4>_sign] |= AFTER
for _sign in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ":
    _KINDS[<Py_UCS4>_sign] |= LETTER
for _sign in "\")]}":
    _KINDS[<Py_UCS4>_sign] |= ALONE


cdef inline bint _is(Py_UCS4 sign, int kind) noexcept nogil:
    if sign < 128:
        return _KINDS[sign] & kind
    if kind == STOP:
        return sign == 0x2026
    if kind == AFTER:
        return sign == 0x201D or sign == 0xBB
    return sign == 0x201D or sign == 0x2019 or sign == 0xBB


_SEARCH_OF = "0.8.0"
_tokenizer = nupunkt.load("default")
if nupunkt.__version__ == _SEARCH_OF and _tokenizer._uses_decision_engine():
    _decide, _is_enumerator = _tokenizer._decision_state()[3], _tokenizer._is_line_start_enumerator
    #: Abbreviations, and words that are decided together with the next one.
    _OPEN = _tokenizer._params.abbrev_types | {word for word, _ in _tokenizer._params.collocations}
else:
    _decide = _is_enumerator = None
    _OPEN = frozenset()


def sentence_starts(str text not None, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t low, Py_ssize_t high, may_be):
    if _decide is not None:
        return _Starts(text, max(begin, 0), min(end, PyUnicode_GET_LENGTH(text)), low, high, may_be)
    spans = _tokenizer.span_tokenize(text[begin:end])
    return filter(may_be, reversed([begin + start for start, _ in spans if low < begin + start <= high]))


cdef struct Stop:
    Py_ssize_t at
    #: Where the words begin that decide about it.
    Py_ssize_t word


cdef class _Starts:
    cdef str text
    cdef object may_be
    cdef int kind
    cdef void* data
    cdef Py_ssize_t begin, end, low, high
    cdef Stop* stops
    cdef Py_ssize_t left, room

    def __init__(
        self, str text not None, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t low, Py_ssize_t high, may_be
    ):
        self.text, self.may_be = text, may_be
        self.kind, self.data = PyUnicode_KIND(text), PyUnicode_DATA(text)
        self.begin, self.end, self.low, self.high = begin, end, low, high
        self.find_stops()
        # No sentence begins in the white space at the end.
        while end > begin and Py_UNICODE_ISSPACE(self.sign(end - 1)):
            end -= 1
        self.high = min(high, end - 1)

    def __dealloc__(self):
        free(self.stops)

    def __iter__(self):
        return self

    def __next__(self):
        cdef Py_ssize_t place
        while self.left:
            self.left -= 1
            place = self.behind(self.stops[self.left].at)
            if place <= self.low:
                break
            if place <= self.high and self.may_be(place) and self.ends(self.stops[self.left]):
                return place
        self.left = 0
        raise StopIteration

    cdef inline Py_UCS4 sign(self, Py_ssize_t at) noexcept:
        return PyUnicode_READ(self.kind, self.data, at)

    cdef int find_stops(self) except -1:
        """The marks that may end a sentence, the last of each stretch without white space."""
        cdef int kind = self.kind
        cdef void* data = self.data
        cdef Py_ssize_t at, behind, word, last = self.end - 1
        cdef Py_ssize_t before = self.begin, before_word = self.begin, blank = self.begin - 1
        cdef Py_UCS4 sign, after
        at = self.begin
        while at < last:
            sign = PyUnicode_READ(kind, data, at)
            if not _is(sign, STOP):
                if Py_UNICODE_ISSPACE(sign):
                    blank = at
                at += 1
                continue
            after = self.sign(at + 1)
            if after == 0x27 or after == 0x2019:
                if at + 2 < self.end:
                    after = self.sign(at + 2)
                    if after.isalnum() and not after.isdecimal():
                        at += 1
                        continue
            elif Py_UNICODE_ISSPACE(after):
                if sign == 0x2E:
                    behind = self.behind_space(at + 1)
                    if behind < self.end and self.sign(behind) == 0x2E:
                        at += 1
                        continue
            elif not _is(after, AFTER):
                at += 1
                continue
            word = blank + 1 if blank > before else before_word
            if at > self.begin + 1 and blank == at - 1:
                word = min(word, self.before_dots(at, before, before_word))
            if self.left and before <= word:
                self.left += 1
            elif not self.left:
                self.left = 1
            if self.left > self.room:
                self.widen()
            self.stops[self.left - 1] = Stop(at, word)
            before, before_word = at, word
            at += 1
        return 0

    cdef int widen(self) except -1:
        cdef Py_ssize_t room = 16 + 2 * self.room
        cdef Stop* stops = <Stop*>realloc(self.stops, room * sizeof(Stop))
        if stops == NULL:
            raise MemoryError
        self.stops, self.room = stops, room
        return 0

    cdef Py_ssize_t before_dots(self, Py_ssize_t at, Py_ssize_t before, Py_ssize_t before_word) noexcept:
        """Where the word begins that stands before the dots, with white space between, which end at a place."""
        cdef Py_ssize_t first = at, place
        while True:
            place = first - 1
            while place >= self.begin and Py_UNICODE_ISSPACE(self.sign(place)):
                place -= 1
            if place < self.begin or place == first - 1 or self.sign(place) != 0x2E:
                break
            first = place
        if first == at:
            return at
        while first > before and Py_UNICODE_ISSPACE(self.sign(first - 1)):
            first -= 1
        while first > before and not Py_UNICODE_ISSPACE(self.sign(first - 1)):
            first -= 1
        return first if first > before + 1 else before_word

    cdef Py_ssize_t behind(self, Py_ssize_t stop) noexcept:
        """Where a sentence begins behind the end of another, and behind what closes that."""
        cdef Py_ssize_t begin = self.behind_space(stop + 1), closed = begin
        while closed < self.end and _is(self.sign(closed), CLOSING):
            closed += 1
        if closed == begin:
            return begin
        if closed == self.end or Py_UNICODE_ISSPACE(self.sign(closed)):
            return self.behind_space(closed)
        if closed + 1 < self.end and self.sign(closed) == 0x2D and self.sign(closed + 1) == 0x2D:
            return closed
        return begin

    cdef Py_ssize_t behind_space(self, Py_ssize_t at) noexcept:
        while at < self.end and Py_UNICODE_ISSPACE(self.sign(at)):
            at += 1
        return at

    cdef bint ends(self, Stop stop) except -1:
        """Whether a sentence ends at a mark."""
        cdef Py_ssize_t at = stop.at, place = at + 1, back, split, word
        cdef Py_UCS4 sign
        if self.sign(at) == 0x2E:
            back = at - 1
            while back >= self.begin and back >= at - 12 and self.sign(back) != 10:
                back -= 1
            if (back < self.begin or back >= at - 12) and _is_enumerator(self.text[back + 1:at + 1], at - back - 1):
                return False
        sign = self.sign(place) if place < self.end else 0
        if sign == 0x21 or sign == 0x3F:
            return False
        back = place
        while back < self.end and (sign == 0x20 or sign == 9):
            back += 1
            sign = self.sign(back) if back < self.end else 0
        if back > place and (sign == 0x21 or sign == 0x3F):
            if back + 1 == self.end:
                return False
            sign = self.sign(back + 1)
            if sign == 0x21 or sign == 0x3F or Py_UNICODE_ISSPACE(sign):
                return False
        split = place
        while split < self.end and _is(self.sign(split), CLOSING):
            split += 1
        place = split
        if split > at + 1:
            while place < self.end and self.sign(place) in (0x20, 9):
                place += 1
            if place < self.end and self.sign(place).islower():
                return False
        if self.sign(at) == 0x2E and split < self.end and Py_UNICODE_ISSPACE(self.sign(split)):
            # What nupunkt decides in most cases, and by far not as fast: a whole word that is no abbreviation.
            if at > self.begin and _is(self.sign(at - 1), ALONE) and "." not in _OPEN:
                return True
            word = at
            while word > stop.word and self.sign(word - 1) < 128 and _KINDS[self.sign(word - 1)] & LETTER:
                word -= 1
            if word == stop.word and at - word > 1 and self.text[word:at].lower() not in _OPEN:
                return True
        place = self.behind_space(split)
        while place < self.end and not Py_UNICODE_ISSPACE(self.sign(place)):
            place += 1
        return _decide((self.text[stop.word:split], self.text[split:place]))
