/* The invariant of memory: what frames are, and that tables and capabilities say the same. */
#include "object/check.h"
#include "object/object.h"
#include "object/space.h"

#define ZERO_FRAMES 4 /* frames that one check of frame_zero looks at, in turn */

static bool is_table(uint32_t f)
{
    return f_state[f] >= F_TABLE1;
}

/* Each frame is one of the known things, frame 0 nothing. */
bool inv_frame_state(void)
{
    for (uint32_t f = 0; f < PHYS_FRAMES; f++) {
        if (f_state[f] > F_SPACE) {
            return false;
        }
    }
    return f_state[0] == F_DIRTY;
}

/* What a frame is agrees with its owner's type; parts, reverses and free frames have none. */
bool inv_frame_owner(void)
{
    for (uint32_t f = 1; f < PHYS_FRAMES; f++) {
        uint8_t wanted = f_state[f] == F_FRAME   ? OBJ_FRAME
                         : f_state[f] == F_SPACE ? OBJ_SPACE
                         : is_table(f)           ? OBJ_TABLE
                                                 : 0;
        uint32_t s = owner[OWN_FRAME + f];
        if (s_type[s] != wanted) {
            return false;
        }
    }
    return true;
}

/* A large frame and its parts: aligned, whole. */
bool inv_frame_part(void)
{
    for (uint32_t f = 0; f < PHYS_FRAMES; f++) {
        uint32_t head = f - f % LARGE_FRAMES;
        uint32_t s = owner[OWN_FRAME + head];
        bool large = head != 0 && f_state[head] == F_FRAME && s_kind[s] != 0;
        if ((f_state[f] == F_PART) != (large && f != head)) {
            return false;
        }
    }
    return true;
}

/* Behind each table stands its reverse, and nowhere else one. */
bool inv_frame_reverse(void)
{
    for (uint32_t f = 0; f + 1 < PHYS_FRAMES; f++) {
        if (is_table(f) != (f_state[f + 1] == F_REVERSE)) {
            return false;
        }
    }
    return !is_table(PHYS_FRAMES - 1);
}

/* What is said to be zeroed is. Some frames each time. */
bool inv_frame_zero(void)
{
    static uint32_t at;
    for (uint32_t n = 0; n < ZERO_FRAMES; n++) {
        at = (at + 1) % PHYS_FRAMES;
        for (uint32_t k = 0; f_state[at] == F_ZERO && k < 512; k++) {
            if (phys[at * 512ULL + k] != 0) {
                return false;
            }
        }
    }
    return true;
}

/* A mapped capability is one for memory, and its entry's reverse names it. */
bool inv_map_forward(void)
{
    for (uint32_t s = 0; s < SLOTS; s++) {
        uint32_t t = s_table[s];
        if (t == NIL) {
            if (s_entry[s] != 0) {
                return false;
            }
            continue;
        }
        if (t >= PHYS_FRAMES || !is_table(t) || s_entry[s] >= space_entries(t) ||
            space_reverse(t, s_entry[s]) != s) {
            return false;
        }
    }
    return true;
}

/* It stands in a table of the level for its size; so tables never lead back to themselves. */
bool inv_map_level(void)
{
    for (uint32_t s = 0; s < SLOTS; s++) {
        uint32_t t = s_table[s];
        if (t == NIL || t >= PHYS_FRAMES) {
            continue;
        }
        uint8_t type = s_type[s];
        uint32_t level = type == OBJ_TABLE                         ? space_level(s_object[s]) + 1
                         : type == OBJ_FRAME || type == OBJ_DEVICE ? s_kind[s] + 1u
                                                                   : 0;
        if (space_level(t) != level) {
            return false;
        }
    }
    return true;
}

/* An entry's reverse names a capability that is mapped there, or the entry is empty. */
bool inv_map_reverse(void)
{
    for (uint32_t f = 1; f < PHYS_FRAMES; f++) {
        for (uint32_t e = 0; is_table(f) && e < space_entries(f); e++) {
            uint64_t s = phys[(f + 1) * 512ULL + e];
            if (s >= SLOTS ||
                (s == 0 ? phys[f * 512ULL + e] != 0 : s_table[s] != f || s_entry[s] != e)) {
                return false;
            }
        }
    }
    return true;
}

/* An entry lets through at most what its capability does, to just its object. */
static bool entry_fits(uint32_t s, uint64_t pte)
{
    uint32_t rights = s_rights[s];
    bool fits = false;
    for (uint32_t r = 0; r <= RIGHTS_ALL; r++) {
        bool may = s_type[s] == OBJ_TABLE || ((r & rights) == r && (r & RIGHT_READ) != 0);
        fits = fits || (may && pte == space_pte(s, r));
    }
    return fits;
}

bool inv_map_entry(void)
{
    for (uint32_t s = 1; s < SLOTS; s++) {
        uint32_t t = s_table[s];
        if (t != NIL && t < PHYS_FRAMES && s_entry[s] < 512 &&
            !entry_fits(s, phys[t * 512ULL + s_entry[s]])) {
            return false;
        }
    }
    return true;
}

/* No entry for a frame allows both writing and executing. */
bool inv_map_exclusive(void)
{
    for (uint32_t s = 1; s < SLOTS; s++) {
        uint32_t t = s_table[s];
        if (t == NIL || t >= PHYS_FRAMES || s_entry[s] >= 512 || s_type[s] == OBJ_TABLE) {
            continue;
        }
        uint64_t pte = phys[t * 512ULL + s_entry[s]];
        if ((pte & ARCH_PTE_WRITE) != 0 && (pte & ARCH_PTE_NX) == 0) {
            return false;
        }
    }
    return true;
}

/* The kernel's half of every top table is the same, and no program's entry. */
bool inv_map_kernel(void)
{
    uint32_t first = NIL;
    for (uint32_t f = 1; f < PHYS_FRAMES; f++) {
        if (f_state[f] != F_SPACE) {
            continue;
        }
        first = first == NIL ? f : first;
        for (uint32_t e = ARCH_USER_ENTRIES; e < ARCH_ENTRIES; e++) {
            if (phys[f * 512ULL + e] != phys[first * 512ULL + e] ||
                (phys[f * 512ULL + e] & ARCH_PTE_USER) != 0 || phys[(f + 1) * 512ULL + e] != 0) {
                return false;
            }
        }
    }
    return true;
}
