# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, binding=False
"""The compiled form of `page_scans.py`, which says what each function and class does."""

from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.unicode cimport PyUnicode_Substring
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memchr, memcmp

cdef extern from "Python.h":
    int PyUnicode_KIND(object text)
    void* PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    str PyUnicode_FromKindAndData(int kind, const void* buffer, Py_ssize_t size)
    Py_UCS4 PyUnicode_READ(int kind, void* data, Py_ssize_t index)
    Py_ssize_t PyUnicode_FindChar(object text, Py_UCS4 character, Py_ssize_t start, Py_ssize_t end, int direction)
    bint Py_UNICODE_ISSPACE(Py_UCS4 character) nogil
    bint Py_UNICODE_ISLOWER(Py_UCS4 character) nogil
    bint Py_UNICODE_ISUPPER(Py_UCS4 character) nogil
    int Py_UNICODE_TODECIMAL(Py_UCS4 character) nogil

cdef extern from "courtlistener_assets/text/scans.h":
    int take_turns() except -1

ctypedef fused Units:
    uint8_t
    uint16_t
    uint32_t

cdef enum:
    ASCII = 0x80
    MARK = 0xFDD3
    MOST_SPACES = 40
    MOST_DIGITS = 4
    MOST_SPACES_BEHIND = 3
    MOST_BARS = 2
    #: Of a line above that is so much longer, Python's own search is asked, which takes no time that grows with both.
    FEW_PLACES = 64


cdef class Signs:
    cdef object pattern
    cdef bint known[ASCII]

    def __init__(self, pattern):
        self.pattern = pattern
        for character in range(ASCII):
            self.known[character] = pattern.match(chr(character)) is not None

    def places(self, str characters not None):
        cdef int kind = PyUnicode_KIND(characters)
        cdef void* data = PyUnicode_DATA(characters)
        cdef Py_ssize_t at
        cdef Py_UCS4 character
        cdef list found = []
        take_turns()
        for at in range(PyUnicode_GET_LENGTH(characters)):
            character = PyUnicode_READ(kind, data, at)
            if self.known[character] if character < ASCII else self.pattern.match(characters, at) is not None:
                found.append(at)
        return found


def are_marked(list lines not None):
    cdef Py_ssize_t index
    cdef object line
    take_turns()
    for index in range(PyList_GET_SIZE(lines)):
        line = <object>PyList_GET_ITEM(lines, index)
        if PyUnicode_KIND(line) > 1 and PyUnicode_FindChar(line, MARK, 0, PyUnicode_GET_LENGTH(line), 1) >= 0:
            return True
    return False


def page_breaks(list lines not None):
    cdef Py_ssize_t index
    cdef object line
    cdef list found = []
    take_turns()
    for index in range(PyList_GET_SIZE(lines)):
        line = <object>PyList_GET_ITEM(lines, index)
        if PyUnicode_GET_LENGTH(line) == 1 and PyUnicode_READ(PyUnicode_KIND(line), PyUnicode_DATA(line), 0) == 0x0C:
            found.append(index)
    return found


def blank_lines(list lines not None):
    cdef Py_ssize_t index, at, size
    cdef object line
    cdef int kind
    cdef void* data
    cdef list found = []
    take_turns()
    for index in range(PyList_GET_SIZE(lines)):
        line = <object>PyList_GET_ITEM(lines, index)
        kind, data, size = PyUnicode_KIND(line), PyUnicode_DATA(line), PyUnicode_GET_LENGTH(line)
        at = 0
        while at < size and Py_UNICODE_ISSPACE(PyUnicode_READ(kind, data, at)):
            at += 1
        if size and at == size:
            found.append(index)
    return found


cdef bint _stands_in(object words, object line):
    """Whether words stand in a line."""
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(words), more = PyUnicode_GET_LENGTH(line) - size, at
    cdef int kind = PyUnicode_KIND(line)
    cdef const uint8_t* first = <const uint8_t*>PyUnicode_DATA(words)
    cdef const uint8_t* data = <const uint8_t*>PyUnicode_DATA(line)
    if more < 0:
        return False
    if more > FEW_PLACES or PyUnicode_KIND(words) != kind:
        return words in line
    for at in range(more + 1):
        if data[at * kind] == first[0] and memcmp(data + at * kind, first, size * kind) == 0:
            return True
    return False


def said_above(list lines not None, list bare not None):
    cdef Py_ssize_t index
    cdef object words
    cdef list found = []
    take_turns()
    for index in range(1, min(PyList_GET_SIZE(lines), PyList_GET_SIZE(bare))):
        words = <object>PyList_GET_ITEM(bare, index)
        if PyUnicode_GET_LENGTH(words) and _stands_in(words, <object>PyList_GET_ITEM(lines, index - 1)):
            found.append(index)
    return found


cdef inline bint _has(object line, Py_UCS4 sign):
    """Whether an ASCII character is in a line."""
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(line)
    if PyUnicode_KIND(line) == 1:
        return memchr(PyUnicode_DATA(line), <int>sign, size) != NULL
    return PyUnicode_FindChar(line, sign, 0, size, 1) >= 0


def with_any(list lines not None, str signs not None):
    cdef Py_ssize_t index
    cdef Py_UCS4 sign
    cdef object line
    cdef list found = []
    take_turns()
    for index in range(PyList_GET_SIZE(lines)):
        line = <object>PyList_GET_ITEM(lines, index)
        for sign in signs:
            if _has(line, sign):
                found.append(index)
                break
    return found


cdef Py_ssize_t _write_alike(const Units* units, Py_ssize_t size, Units* written) noexcept nogil:
    """Write a line with a sign for each number, and with single spaces; return what was written."""
    cdef Py_ssize_t at = 0, count = 0
    while at < size:
        if 0x30 <= units[at] <= 0x39:
            while at < size and 0x30 <= units[at] <= 0x39:
                at += 1
            written[count] = 0x23
        else:
            written[count] = units[at]
            at += 1
            if written[count] == 0x20:
                while at < size and units[at] == 0x20:
                    at += 1
        count += 1
    return count


def alike(list lines not None):
    cdef Py_ssize_t index, size, room = 1
    cdef int kind
    cdef object line
    cdef void* written
    cdef list found = []
    take_turns()
    for line in lines:
        room = max(room, PyUnicode_GET_LENGTH(line) * PyUnicode_KIND(line))
    written = malloc(room)
    if written == NULL:
        raise MemoryError
    try:
        for line in lines:
            kind, size = PyUnicode_KIND(line), PyUnicode_GET_LENGTH(line)
            if kind == 1:
                size = _write_alike(<const uint8_t*>PyUnicode_DATA(line), size, <uint8_t*>written)
            elif kind == 2:
                size = _write_alike(<const uint16_t*>PyUnicode_DATA(line), size, <uint16_t*>written)
            else:
                size = _write_alike(<const uint32_t*>PyUnicode_DATA(line), size, <uint32_t*>written)
            found.append(PyUnicode_FromKindAndData(kind, written, size))
    finally:
        free(written)
    return found


def is_in_capitals(str line not None, Py_ssize_t least):
    cdef int kind = PyUnicode_KIND(line)
    cdef void* data = PyUnicode_DATA(line)
    cdef Py_ssize_t at, capitals = 0, small = 0
    cdef Py_UCS4 character
    for at in range(PyUnicode_GET_LENGTH(line)):
        if small >= least:
            break
        character = PyUnicode_READ(kind, data, at)
        if Py_UNICODE_ISLOWER(character):
            small += 1
        elif Py_UNICODE_ISUPPER(character):
            capitals += 1
    return capitals >= least > small


def ranks_of(list seen not None, Py_ssize_t size):
    cdef Py_ssize_t rank, index
    cdef list ranks = [-1] * size
    take_turns()
    for rank in range(PyList_GET_SIZE(seen)):
        index = <object>PyList_GET_ITEM(seen, rank)
        ranks[index] = rank
    return ranks


def lines_of(str text not None):
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(text), start = 0, end
    cdef Py_ssize_t line_end = PyUnicode_FindChar(text, 0x0A, 0, size, 1)
    cdef Py_ssize_t page_end = PyUnicode_FindChar(text, 0x0C, 0, size, 1)
    cdef list found = []
    take_turns()
    while line_end >= 0 or page_end >= 0:
        if page_end < 0 or 0 <= line_end < page_end:
            found.append(PyUnicode_Substring(text, start, line_end))
            start = line_end + 1
            line_end = PyUnicode_FindChar(text, 0x0A, start, size, 1)
        else:
            found.append(PyUnicode_Substring(text, start, page_end))
            found.append("\f")
            start = page_end + 1
            page_end = PyUnicode_FindChar(text, 0x0C, start, size, 1)
    found.append(PyUnicode_Substring(text, start, size))
    return found


def line_number(str line not None):
    cdef int kind = PyUnicode_KIND(line)
    cdef void* data = PyUnicode_DATA(line)
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(line), at = 0, start, end, bars
    cdef int digit, value = 0
    while at < size and at < MOST_SPACES and PyUnicode_READ(kind, data, at) == 0x20:
        at += 1
    start = at
    while at < size and at - start <= MOST_DIGITS:
        digit = Py_UNICODE_TODECIMAL(PyUnicode_READ(kind, data, at))
        if digit < 0:
            break
        value = 10 * value + digit
        at += 1
    if not 0 < at - start <= MOST_DIGITS:
        return None
    end = at
    while at < size and at - end < MOST_SPACES_BEHIND and PyUnicode_READ(kind, data, at) == 0x20:
        at += 1
    bars = at
    while at < size and at - bars < MOST_BARS and PyUnicode_READ(kind, data, at) == 0x7C:
        at += 1
    if at > bars and (at == size or Py_UNICODE_ISSPACE(PyUnicode_READ(kind, data, at))):
        return value, start, end, at
    if end == size or Py_UNICODE_ISSPACE(PyUnicode_READ(kind, data, end)):
        return value, start, end, end
    return None
