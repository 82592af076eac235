/* The serial line's input as a server: lines, edited and echoed. One client waits at a time.
 *
 * call SERIAL_READ, word 0: bytes wanted. Answer: word 0 the number of bytes (0: the end of the
 * input), then they, packed in words 1 .. 9.
 */
#ifndef USER_SERIAL_H
#define USER_SERIAL_H

#define SERIAL_READ  1u
#define SERIAL_BYTES 72u /* most bytes of an answer */

#endif
