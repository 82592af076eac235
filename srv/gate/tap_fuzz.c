/* Fuzzer of the gate's look at passing bytes: the first byte says where the rest is cut, every
 * other piece goes the other way. */
#include "gate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct link l;
    l = (struct link){.dialed = size % 2};
    size_t piece = size > 0 ? data[0] % 64 + 1 : 1;
    for (size_t at = 1, n = 0; at < size; at += piece, n++) {
        tap(&l, n % 2, data + at, size - at < piece ? size - at : piece);
    }
    return 0;
}
