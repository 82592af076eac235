/* Memory and page tables: see space.h. */
#include "object/space.h"

uint8_t f_state[PHYS_FRAMES];

uint32_t space_reverse(uint32_t table, uint32_t entry)
{
    return (uint32_t)phys[(table + 1) * ARCH_ENTRIES + entry];
}

/*@ requires table + 1 < PHYS_FRAMES && entry < ARCH_ENTRIES;
    assigns phys[(table + 1) * 512 + entry];
    ensures REVERSE_OF(table, entry) == s; */
static void set_reverse(uint32_t table, uint32_t entry, uint32_t s)
{
    phys[(table + 1) * ARCH_ENTRIES + entry] = s;
}

uint32_t space_level(uint32_t table)
{
    return f_state[table] - F_TABLE1 + 1u;
}

uint32_t space_entries(uint32_t table)
{
    return f_state[table] == F_SPACE ? ARCH_USER_ENTRIES : ARCH_ENTRIES;
}

uint64_t space_pte(uint32_t s, uint32_t rights)
{
    uint64_t pte = (uint64_t)s_object[s] * 4096 + ARCH_PTE_PRESENT + ARCH_PTE_USER;
    if (s_type[s] == OBJ_TABLE) {
        return pte + ARCH_PTE_WRITE;
    }
    if ((rights & RIGHT_WRITE) != 0) {
        pte += ARCH_PTE_WRITE;
    }
    if ((rights & RIGHT_EXECUTE) == 0) {
        pte += ARCH_PTE_NX;
    }
    if (s_kind[s] != 0) {
        pte += ARCH_PTE_LARGE;
    }
    return s_type[s] == OBJ_DEVICE ? pte + ARCH_PTE_NOCACHE : pte;
}

/* An entry of a table and its reverse are no other's reverse and no other reverse's entry. */
/*@ ghost
    /@ requires maps && is_table(table) && entry < entries_of(table);
       assigns \nothing;
       ensures \forall integer f; 0 <= f < PHYS_FRAMES && f_state[f] == F_ZERO ==>
           f != table && f != table + 1;
       ensures \forall integer t; is_slot(t) && s_table[t] != NIL ==>
           (s_table[t] + 1) * 512 + s_entry[t] != table * 512 + entry;
       ensures \forall integer f, r; is_table(f) &&
           f * 512 + 512 <= r < f * 512 + 512 + entries_of(f) && phys[r] < SLOTS ==>
           r != table * 512 + entry && r - 512 != (table + 1) * 512 + entry;
    @/
    static void entry_apart(uint32_t table, uint32_t entry)
    {
        /@ assert behind: \forall integer f; is_table(f) ==> f + 1 != table && f != table + 1; @/
    }
*/

/* Maps s with an entry that is already made. */
/*@ MAPS(requires)
    requires is_slot(s) && is_table(table) && entry < entries_of(table) && pte != 0;
    requires REVERSE_OF(table, entry) == s || REVERSE_OF(table, entry) == NIL;
    requires REVERSE_OF(table, entry) == NIL ==> s_table[s] == NIL;
    requires entry_fits(s, pte);
    assigns phys[table * 512 + entry], phys[(table + 1) * 512 + entry], s_table[s], s_entry[s];
    MAPS(ensures)
    ensures s_table[s] == table && s_entry[s] == entry && REVERSE_OF(table, entry) == s;
    ensures ENTRY_OF(table, entry) == pte; */
static void map(uint32_t s, uint32_t table, uint32_t entry, uint64_t pte)
{
    /*@ ghost entry_apart(table, entry); */
    /*@ assert others: \forall integer t; is_slot(t) && s_table[t] != NIL && t != s ==>
            s_table[t] != table || s_entry[t] != entry; */
    arch_pte_write(table, entry, pte);
    set_reverse(table, entry, s);
    if (s_table[s] != NIL) {
        arch_tlb_flush();
    }
    s_table[s] = table;
    s_entry[s] = entry;
}

void space_map(uint32_t s, uint32_t table, uint32_t entry, uint32_t rights)
{
    map(s, table, entry, space_pte(s, rights));
}

void space_unmap(uint32_t s)
{
    /*@ ghost entry_apart(s_table[s], s_entry[s]); */
    arch_pte_write(s_table[s], s_entry[s], 0);
    set_reverse(s_table[s], s_entry[s], NIL);
    s_table[s] = NIL;
    s_entry[s] = 0;
    arch_tlb_flush();
}

void space_hand_over(uint32_t from, uint32_t to)
{
    /*@ ghost entry_apart(s_table[from], s_entry[from]); */
    set_reverse(s_table[from], s_entry[from], to);
    s_table[to] = s_table[from];
    s_entry[to] = s_entry[from];
    s_table[from] = NIL;
    s_entry[from] = 0;
}

void table_init(uint32_t table, uint32_t level)
{
    f_state[table] = (uint8_t)(F_TABLE1 - 1 + level);
    f_state[table + 1] = F_REVERSE;
    if (level == ARCH_LEVELS) {
        arch_space_init(table);
    }
}

/* Unmaps s, which is mapped at an entry of the table before which all are free. */
/*@ MAPS(requires)
    requires is_table(table) && is_slot(s) && s_table[s] == table && s_entry[s] == e;
    requires \forall integer r; (table + 1) * 512 <= r < (table + 1) * 512 + e ==> phys[r] == NIL;
    assigns phys[table * 512 .. table * 512 + 1023], s_table[s], s_entry[s];
    MAPS(ensures)
    ensures s_table[s] == NIL && s_entry[s] == 0;
    ensures \forall integer r; (table + 1) * 512 <= r <= (table + 1) * 512 + e ==>
        phys[r] == NIL; */
static void unmap_next(uint32_t table, uint32_t e, uint32_t s)
{
    (void)table;
    (void)e;
    space_unmap(s);
}

bool table_end(uint32_t table)
{
    uint32_t entries = space_entries(table);
    uint32_t done = 0;
    /*@ loop invariant e <= entries && done <= UNMAP_SLICE;
        MAPS(loop invariant)
        loop invariant \forall integer r; (table + 1) * 512 <= r < (table + 1) * 512 + e ==>
            phys[r] == NIL;
        loop invariant \forall integer s; is_slot(s) ==>
            (s_table[s] == \at(s_table[s],Pre) && s_entry[s] == \at(s_entry[s],Pre)) ||
            (\at(s_table[s],Pre) == table && s_table[s] == NIL && s_entry[s] == 0);
        loop invariant done > 0 ==> \exists integer s;
            is_slot(s) && \at(s_table[s],Pre) == table && s_table[s] == NIL;
        loop assigns e, done, phys[table * 512 .. table * 512 + 1023];
        loop assigns s_table[0 .. SLOTS-1], s_entry[0 .. SLOTS-1];
        loop variant entries - e; */
    for (uint32_t e = 0; e < entries; e++) {
        uint32_t s = space_reverse(table, e);
        if (s != NIL) {
            if (done == UNMAP_SLICE) {
                return false;
            }
            /*@ assert mapped: s_table[s] == table && s_entry[s] == e; */
            unmap_next(table, e, s);
            /*@ assert freed: \at(s_table[\at(s,Here)],Pre) == table && s_table[s] == NIL; */
            done++;
        }
    }
    /*@ assert unmapped: \forall integer s; is_slot(s) ==> s_table[s] != table; */
    if (f_state[table] == F_SPACE) {
        arch_space_fini(table);
    }
    f_state[table] = F_DIRTY;
    f_state[table + 1] = F_DIRTY;
    return true;
}

void frame_init(uint32_t frame, uint32_t large)
{
    f_state[frame] = F_FRAME;
    if (large != 0) {
        /*@ loop invariant 1 <= k <= LARGE_FRAMES;
            loop invariant \forall integer f; frame < f < frame + k ==> f_state[f] == F_PART;
            loop invariant \forall integer f; frame + k <= f < frame + LARGE_FRAMES ==>
                f_state[f] == F_ZERO;
            loop assigns k, f_state[frame + 1 .. frame + LARGE_FRAMES - 1];
            loop variant LARGE_FRAMES - k; */
        for (uint32_t k = 1; k < LARGE_FRAMES; k++) {
            f_state[frame + k] = F_PART;
        }
    }
}

void frame_end(uint32_t frame, uint32_t large)
{
    f_state[frame] = F_DIRTY;
    if (large != 0) {
        /*@ loop invariant 1 <= k <= LARGE_FRAMES;
            loop invariant \forall integer f; frame < f < frame + k ==> f_state[f] == F_DIRTY;
            loop invariant \forall integer f; frame + k <= f < frame + LARGE_FRAMES ==>
                f_state[f] == F_PART;
            loop assigns k, f_state[frame + 1 .. frame + LARGE_FRAMES - 1];
            loop variant LARGE_FRAMES - k; */
        for (uint32_t k = 1; k < LARGE_FRAMES; k++) {
            f_state[frame + k] = F_DIRTY;
        }
    }
}

uint32_t frames_zero(uint32_t first, uint32_t count, uint32_t room)
{
    uint32_t zeroed = 0;
    /*@ loop invariant k <= count && zeroed <= room && zeroed <= k;
        MAPS(loop invariant)
        loop invariant \forall integer f; first <= f < first + k ==> f_state[f] == F_ZERO;
        loop invariant \forall integer f; first <= f < first + count ==> f_state[f] <= F_ZERO;
        loop assigns k, zeroed, f_state[first .. first + count - 1];
        loop assigns phys[first * 512 .. (first + count) * 512 - 1];
        loop variant count - k; */
    for (uint32_t k = 0; k < count && zeroed < room; k++) {
        if (f_state[first + k] == F_DIRTY) {
            /*@ assert dirty: \forall integer f; 0 <= f < PHYS_FRAMES && f_state[f] == F_ZERO ==>
                    f != first + k; */
            arch_frame_zero(first + k);
            f_state[first + k] = F_ZERO;
            zeroed++;
        }
    }
    return zeroed;
}
