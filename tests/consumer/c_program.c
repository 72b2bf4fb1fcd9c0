/* Allocates and frees through the C ABI: what a program in C, or in a language that calls C, does. */
#include <stdio.h>
#include <terrazzo/terrazzo.h>

int main(void) { return 0; }
