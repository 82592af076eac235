/* Heap of due times: see due.h. */
#include "object/due.h"

uint32_t due_heap[C_MAX];
uint32_t c_place[C_MAX];
uint64_t c_due[C_MAX];
uint32_t due_count;

void due_init(void)
{
    due_count = 0;
    /*@ loop invariant 1 <= i <= C_MAX;
        loop invariant \forall integer k; 1 <= k < i ==> due_heap[k] == k && c_place[k] == k;
        loop assigns i, due_heap[1 .. C_MAX-1], c_place[1 .. C_MAX-1], c_due[1 .. C_MAX-1];
        loop variant C_MAX - i; */
    for (uint32_t i = 1; i < C_MAX; i++) {
        due_heap[i] = i;
        c_place[i] = i;
        c_due[i] = 0;
    }
}

/* Exchanges two positions. */
/*@ requires d_heap && d_place;
    requires 1 <= i < C_MAX && 1 <= j < C_MAX;
    assigns due_heap[i], due_heap[j], c_place[due_heap[i]], c_place[due_heap[j]];
    ensures d_heap;
    ensures d_place;
    ensures due_heap[i] == \old(due_heap[j]) && due_heap[j] == \old(due_heap[i]);
    ensures c_place[\old(due_heap[i])] == j && c_place[\old(due_heap[j])] == i; */
static void due_swap(uint32_t i, uint32_t j)
{
    uint32_t a = due_heap[i];
    uint32_t b = due_heap[j];
    due_heap[i] = b;
    c_place[b] = i;
    due_heap[j] = a;
    c_place[a] = j;
}

/* Raises what stands at i until its parent is due no later. */
/*@ requires d_count && d_heap && d_place;
    requires 1 <= i <= due_count;
    requires \forall integer j; 2 <= j <= due_count && j != i ==>
        c_due[due_heap[j / 2]] <= c_due[due_heap[j]];
    requires i >= 2 ==> \forall integer j; 2 <= j <= due_count && j / 2 == i ==>
        c_due[due_heap[i / 2]] <= c_due[due_heap[j]];
    assigns due_heap[1 .. due_count], c_place[1 .. C_MAX-1];
    DUE(ensures)
    ensures \forall integer x; is_context(x) ==> (waits_due(x) <==> \at(waits_due(x), Pre)); */
static void due_raise(uint32_t i)
{
    /*@ loop invariant 1 <= i <= due_count;
        loop invariant d_heap;
        loop invariant d_place;
        loop invariant \forall integer j; 2 <= j <= due_count && j != i ==>
            c_due[due_heap[j / 2]] <= c_due[due_heap[j]];
        loop invariant i >= 2 ==> \forall integer j; 2 <= j <= due_count && j / 2 == i ==>
            c_due[due_heap[i / 2]] <= c_due[due_heap[j]];
        loop invariant \forall integer x; is_context(x) ==>
            (waits_due(x) <==> \at(waits_due(x), Pre));
        loop assigns i, due_heap[1 .. due_count], c_place[1 .. C_MAX-1];
        loop variant i; */
    while (i > 1 && c_due[due_heap[i / 2]] > c_due[due_heap[i]]) {
        due_swap(i, i / 2);
        i = i / 2;
    }
}

/* Lowers what stands at i until its children are due no earlier. */
/*@ requires d_count && d_heap && d_place;
    requires 1 <= i <= due_count;
    requires \forall integer j; 2 <= j <= due_count && j / 2 != i ==>
        c_due[due_heap[j / 2]] <= c_due[due_heap[j]];
    requires i >= 2 ==> \forall integer j; 2 <= j <= due_count && j / 2 == i ==>
        c_due[due_heap[i / 2]] <= c_due[due_heap[j]];
    assigns due_heap[1 .. due_count], c_place[1 .. C_MAX-1];
    DUE(ensures)
    ensures \forall integer x; is_context(x) ==> (waits_due(x) <==> \at(waits_due(x), Pre)); */
static void due_lower(uint32_t i)
{
    /*@ loop invariant 1 <= i <= due_count;
        loop invariant d_heap;
        loop invariant d_place;
        loop invariant \forall integer j; 2 <= j <= due_count && j / 2 != i ==>
            c_due[due_heap[j / 2]] <= c_due[due_heap[j]];
        loop invariant i >= 2 ==> \forall integer j; 2 <= j <= due_count && j / 2 == i ==>
            c_due[due_heap[i / 2]] <= c_due[due_heap[j]];
        loop invariant \forall integer x; is_context(x) ==>
            (waits_due(x) <==> \at(waits_due(x), Pre));
        loop assigns i, due_heap[1 .. due_count], c_place[1 .. C_MAX-1];
        loop variant due_count - i; */
    while (2 * i <= due_count) {
        uint32_t k = 2 * i;
        if (k < due_count && c_due[due_heap[k + 1]] < c_due[due_heap[k]]) {
            k = k + 1;
        }
        if (c_due[due_heap[i]] <= c_due[due_heap[k]]) {
            break;
        }
        /*@ assert k / 2 == i && (\forall integer j; 2 <= j <= due_count && j / 2 == k ==>
            c_due[due_heap[k]] <= c_due[due_heap[j]]); */
        due_swap(i, k);
        i = k;
    }
}

void due_insert(uint32_t c, uint64_t due)
{
    c_due[c] = due;
    due_swap(c_place[c], due_count + 1);
    due_count = due_count + 1;
    due_raise(due_count);
}

void due_remove(uint32_t c)
{
    uint32_t i = c_place[c];
    due_swap(i, due_count);
    due_count = due_count - 1;
    if (i <= due_count) {
        if (i > 1 && c_due[due_heap[i / 2]] > c_due[due_heap[i]]) {
            due_raise(i);
        } else {
            due_lower(i);
        }
    }
}
