/* What runs behind the walls in hostile_test. Each prints a line a failure, and counts. */
#ifndef COGNU_HOSTILE_H
#define COGNU_HOSTILE_H

enum { HOSTILE_ALONE_TESTS = 2 };

/* As the component name with the manifest text: everything that the text does not grant. */
int hostile_inside(const char *name, const char *text);
/* The mounts and Landlock without the other walls; how many of HOSTILE_ALONE_TESTS failed. */
int hostile_alone(void);

#endif
