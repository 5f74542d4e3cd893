# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, binding=False
"""The compiled form of `sentence_starts.py`: the search of nupunkt, which is asked only what it decides about a place.

Another version of nupunkt may search in another way; then it does all.
"""

import nupunkt

from cpython.unicode cimport PyUnicode_Substring
from libc.stdint cimport uint8_t

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

cdef uint8_t _KINDS[128]
for _sign in ".!?":
    _KINDS[<Py_UCS4>_sign] |= STOP
for _sign in "\"')]}*":
    _KINDS[<Py_UCS4>_sign] |= CLOSING
for _sign in ")\";}]*:@({[!?":
    _KINDS[<Py_UCS4>_sign] |= AFTER


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
else:
    _decide = _is_enumerator = None


def sentence_starts(str text not None):
    cdef list starts = None if _decide is None else _starts_of(text, _decide, _is_enumerator)
    return [start for start, _ in _tokenizer.span_tokenize(text)] if starts is None else starts


cdef list _starts_of(str text, decide, is_enumerator):
    """The starts; None if there is an ellipsis with spaces, or a sentence that begins with what closes."""
    cdef int kind = PyUnicode_KIND(text)
    cdef void* data = PyUnicode_DATA(text)
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(text)
    cdef Py_ssize_t at, end, last, word, split
    cdef Py_ssize_t before = -1, before_word = 0, before_stop = 0, before_split = 0, before_end = 0
    cdef Py_ssize_t begin = 0, blank = -1
    cdef Py_UCS4 sign, after
    cdef list starts = []
    at = 0
    while at < size:
        sign = PyUnicode_READ(kind, data, at)
        if not _is(sign, STOP):
            if Py_UNICODE_ISSPACE(sign):
                blank = at
            at += 1
            continue
        if at + 1 == size:
            break
        after = PyUnicode_READ(kind, data, at + 1)
        if after == 0x27 or after == 0x2019:
            if at + 2 < size:
                after = PyUnicode_READ(kind, data, at + 2)
                if after.isalnum() and not after.isdecimal():
                    at += 1
                    continue
        elif Py_UNICODE_ISSPACE(after):
            if sign == 0x2E:
                end = at + 2
                while end < size and Py_UNICODE_ISSPACE(PyUnicode_READ(kind, data, end)):
                    end += 1
                if end < size and PyUnicode_READ(kind, data, end) == 0x2E:
                    at += 1
                    continue
        elif not _is(after, AFTER):
            at += 1
            continue
        if at > 1 and Py_UNICODE_ISSPACE(PyUnicode_READ(kind, data, at - 1)):
            return None
        word = blank + 1 if blank >= before_stop and blank + 1 > before_stop + 1 else before_word
        if before >= 0 and before_stop <= word:
            if _ends(text, kind, data, size, before, before_word, before_split, before_end, decide, is_enumerator):
                starts.append(begin)
                begin = _begin_behind(kind, data, size, before)
                if begin < 0:
                    return None
        split = at + 1
        while split < size and _is(PyUnicode_READ(kind, data, split), CLOSING):
            split += 1
        end = split
        while end < size and Py_UNICODE_ISSPACE(PyUnicode_READ(kind, data, end)):
            end += 1
        while end < size and not Py_UNICODE_ISSPACE(PyUnicode_READ(kind, data, end)):
            end += 1
        before, before_word, before_stop, before_split, before_end = at, word, at, split, end
        at += 1
    if before >= 0:
        if _ends(text, kind, data, size, before, before_word, before_split, before_end, decide, is_enumerator):
            starts.append(begin)
            begin = _begin_behind(kind, data, size, before)
            if begin < 0:
                return None
    last = size
    while last > 0 and Py_UNICODE_ISSPACE(PyUnicode_READ(kind, data, last - 1)):
        last -= 1
    if begin < last:
        starts.append(begin)
    return starts


cdef inline Py_ssize_t _begin_behind(int kind, void* data, Py_ssize_t size, Py_ssize_t stop) noexcept:
    """Where a sentence begins behind the end of another; -1 if it begins with what closes."""
    cdef Py_ssize_t begin = stop + 1
    while begin < size and Py_UNICODE_ISSPACE(PyUnicode_READ(kind, data, begin)):
        begin += 1
    return -1 if begin < size and _is(PyUnicode_READ(kind, data, begin), CLOSING) else begin


cdef bint _ends(
    str text, int kind, void* data, Py_ssize_t size, Py_ssize_t at, Py_ssize_t word, Py_ssize_t split, Py_ssize_t end,
    decide, is_enumerator,
) except -1:
    cdef Py_ssize_t place = at + 1, back
    cdef Py_UCS4 sign
    if PyUnicode_READ(kind, data, at) == 0x2E:
        back = at - 1
        while back >= 0 and back >= at - 12 and PyUnicode_READ(kind, data, back) != 10:
            back -= 1
        if (back < 0 or back >= at - 12) and is_enumerator(text, at):
            return False
    sign = PyUnicode_READ(kind, data, place) if place < size else 0
    if sign == 0x21 or sign == 0x3F:
        return False
    back = place
    while back < size and (sign == 0x20 or sign == 9):
        back += 1
        sign = PyUnicode_READ(kind, data, back) if back < size else 0
    if back > place and (sign == 0x21 or sign == 0x3F):
        if back + 1 == size:
            return False
        sign = PyUnicode_READ(kind, data, back + 1)
        if sign == 0x21 or sign == 0x3F or Py_UNICODE_ISSPACE(sign):
            return False
    if place < size and _is(PyUnicode_READ(kind, data, place), CLOSING):
        while place < size and _is(PyUnicode_READ(kind, data, place), CLOSING):
            place += 1
        while place < size and PyUnicode_READ(kind, data, place) in (0x20, 9):
            place += 1
        if place < size and PyUnicode_READ(kind, data, place).islower():
            return False
    return decide((PyUnicode_Substring(text, word, split), PyUnicode_Substring(text, split, end)))
