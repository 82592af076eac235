/* Bits of a word. The prover knows single bits, but neither that 1 << p stays within the word nor
 * what a loop over bits finds. So these two are trusted, and tested for every bit and every pair of
 * bits.
 */
#ifndef KERNEL_BITS_H
#define KERNEL_BITS_H

#include <stdint.h>

/*@ predicate bit(integer map, integer p) = (map & (1 << p)) != 0; */

/*@ requires p < 64;
    assigns \nothing;
    ensures \result == 1 << p; */
static inline uint64_t bit_single(uint32_t p);

/* The highest set bit; 0 for none. */
/*@ assigns \nothing;
    ensures \result < 64;
    ensures map != 0 ==> bit(map, \result);
    ensures map == 0 ==> \result == 0;
    ensures \forall integer p; \result < p < 64 ==> !bit(map, p); */
static inline uint32_t bit_highest(uint64_t map);

#ifndef __FRAMAC__
static inline uint64_t bit_single(uint32_t p)
{
    return (uint64_t)1 << p;
}

static inline uint32_t bit_highest(uint64_t map)
{
    return map == 0 ? 0 : 63u - (uint32_t)__builtin_clzll(map);
}
#endif

#endif
