"""What an exception of a library means, in a reader's words."""

import re
from collections.abc import Mapping
from typing import Any

from .clean import clean

SIZES = (
    "Two tensors of different sizes met: print their shapes just above this line. Axes are paired "
    "from the last one: a row for each response needs [:, None] beside [batch, time], and what was "
    "reduced with keepdim=True has an axis of length 1 too many."
)
# (what the kind and the text of an exception match, a name, what to say); the first that does.
MEANINGS: tuple[tuple[str, str, str], ...] = (
    (r"RuntimeError: The size of tensor a .* must match", "sizes", SIZES),
    (r"RuntimeError: .*(shape mismatch|not broadcastable|cannot be broadcast)", "sizes", SIZES),
    (r"RuntimeError: The expanded size of the tensor", "sizes", SIZES),
    (r"IndexError: (shape mismatch|The shape of the mask)", "sizes", SIZES),
    (r"RuntimeError: (Sizes of tensors must match|Tensors must have same number)", "sizes", SIZES),
    (
        r"RuntimeError: .*(Index tensor must have|gather.*) the same number of dim",
        "gather",
        "gather wants an index with as many axes as the tensor that it reads: give it an axis of "
        "length 1 with [..., None], and take that axis away afterwards.",
    ),
    (
        r"RuntimeError: .*(Size does not match at dim|Expected index .* to be (smaller|no larger))",
        "gather",
        "gather got an index that is longer than what it reads, along another axis than the one "
        "that it picks from: which of the two has one position too many?",
    ),
    (
        r"RuntimeError: gather\(\): Expected dtype int|RuntimeError: .*index.*[Ee]xpected.*int64",
        "index of whole numbers",
        "An index must hold whole numbers (int64): what came is of another dtype.",
    ),
    (
        r"IndexError: tensors used as indices must be|RuntimeError: .*index tensor of type Long",
        "index of whole numbers",
        "An index must hold whole numbers or truth values: what came is of another dtype.",
    ),
    (
        r"IndexError: (too many indices|Dimension out of range|.*[Dd]imension specified as)",
        "axis",
        "There are fewer axes than this line speaks of: print the shape just above it. Some inputs "
        "have one axis only, or none.",
    ),
    (
        r"IndexError: index .* is out of (bounds|range)|IndexError: .*out of range",
        "position",
        "A position is asked for that is not there: some inputs have one entry only, or none.",
    ),
    (
        r"RuntimeError: element 0 of tensors does not require grad",
        "no graph",
        "What is differentiated here hangs on nothing that requires a gradient: it was detached, "
        "or made by no_grad(), .item(), numpy or torch.tensor(…).",
    ),
    (
        r"RuntimeError: (The|One of the) differentiated Tensor.* appears to not",
        "not used",
        "The gradient is asked for with respect to a tensor that the result was not computed from: "
        "a copy, or one that was detached on the way.",
    ),
    (
        r"RuntimeError: One of the differentiated Tensors does not require grad",
        "no graph",
        "The gradient is asked for with respect to a tensor that requires none.",
    ),
    (
        r"RuntimeError: Trying to backward through the graph a second time",
        "graph used twice",
        "backward() was called twice through one graph. What is constant is to be computed once, "
        "without a graph; what is trained is to be computed anew for each step.",
    ),
    (
        r"RuntimeError: (one of the variables needed for gradient|a leaf Variable|a view of)",
        "changed in place",
        "A tensor that the gradient still needs was changed in place (x += …, x[…] = …, or by a "
        "method that ends in _): make a new one instead.",
    ),
    (
        r"RuntimeError: grad can be implicitly created only for scalar",
        "not one number",
        "backward() starts at one number: sum or average first.",
    ),
    (
        r"RuntimeError: Can't call numpy\(\) on Tensor that requires grad",
        "numpy",
        "numpy knows no gradients: compute this with torch, and the gradient comes with it.",
    ),
    (
        r"(RuntimeError|ValueError): (Boolean value of Tensor with more|.*truth value of an array)",
        "if of many",
        "`if`, `and`, `or`, `not`, min() and max() take one truth value, and here are many: "
        "torch.where, &, |, ~, torch.minimum and torch.maximum work entry by entry.",
    ),
    (
        r"(TypeError|ValueError|RuntimeError): (only (one.element|integer|length-1)|"
        r"a Tensor with \d+ elements cannot be converted)",
        "one number of many",
        "Many numbers stand where Python wants one: math.… , float() and .item() take a single "
        "number, torch.… takes tensors.",
    ),
    (
        r"TypeError: must be real number, not Tensor",
        "one number of many",
        "A function of math was given a tensor: torch has one of the same name.",
    ),
    (
        r"TypeError: \w+\(\): argument '\w+'.* must be Tensor, not (float|int|bool)",
        "number in place of a tensor",
        "A function of torch wants a tensor and got a plain number: use math for numbers, or make "
        "it a tensor first.",
    ),
    (
        r"AttributeError: '(float|int|bool)' object has no attribute '(\w+)'",
        "number in place of a tensor",
        "A plain number has no method of that name: it is no tensor. Which of your names is one?",
    ),
    (
        r"AttributeError: 'NoneType' object has no attribute",
        "nothing in place of something",
        "Something came back as None and was used: a function without `return`, or a `.grad` that "
        "was never filled (it is filled on leaves alone, by backward()).",
    ),
    (
        r"TypeError: .*(builtin_function_or_method|'method'|'function' and|and 'function')",
        "not called",
        "A function or a method stands there itself, not what it gives: are () missing?",
    ),
    (
        r"(ShapeError|TypeCheckError): (?P<what>[^\n]*)",
        "shape handed on",
        "Something is handed on that the signature does not allow. {what}",
    ),
    (
        r"RuntimeError: where expected condition to be a boolean",
        "condition first",
        "torch.where(condition, a, b) takes the truth values first, then what stands where they "
        "are True, then the rest.",
    ),
    (
        r"TypeError: unsupported operand type\(s\) for .*NoneType",
        "nothing in place of something",
        "Something came back as None and was computed with: a function without `return`, or a "
        "`.grad` that was never filled (it is filled on leaves alone, by backward()).",
    ),
    (
        r"AttributeError: '\w+' object has no attribute '(?P<what>\w+)'",
        "no such attribute",
        "There is no `{what}` there: a slip of the pen, or something from another library?",
    ),
    (
        r"AttributeError: module '[\w.]+' has no attribute '(?P<what>\w+)'",
        "no such attribute",
        "There is no function `{what}` in that module: what is it called there?",
    ),
    (
        r"NameError: name '(?P<what>\w+)' is not defined",
        "no such name",
        "Nothing here is called `{what}`: a slip of the pen, a name that only another cell had, or "
        "an import that is missing.",
    ),
    (
        r"UnboundLocalError: .*'(?P<what>\w+)'",
        "used before it is set",
        "`{what}` is set further down, or only in a branch that was not taken here.",
    ),
    (
        r"TypeError: .* missing \d+ required .*argument",
        "arguments",
        "A function is called with too few arguments: compare the call with its signature.",
    ),
    (
        r"TypeError: .* (takes (from )?\d+ .*positional arguments? but|got an unexpected keyword|"
        r"got multiple values|received an invalid combination)",
        "arguments",
        "A function is called with other arguments than it takes: compare the call with its "
        "signature.",
    ),
    (
        r"(RuntimeError|NotImplementedError|TypeError): .*(bitwise|~ \(operator|"
        r"not implemented for '(Float|Double|Bool|Long|Half)|Subtraction, the `-` operator)",
        "operation on another kind",
        "This operation does not exist for numbers of that kind. In Python, ^ is xor and not a "
        "power (that is **); & | ~ are for truth values; a mask is turned by ~ and counted by "
        ".sum(); whole numbers and truth values have no mean until .float().",
    ),
    (
        r"TypeError: unsupported operand type\(s\) for (\^|\|)",
        "operation on another kind",
        "In Python, ^ is xor and not a power (that is **), and | is or.",
    ),
    (
        r"RuntimeError: .*(mean|std).*(infer output dtype|only support|must be .*float)",
        "operation on another kind",
        "Whole numbers and truth values have no mean until .float().",
    ),
    (
        r"RuntimeError: .*(must have the same dtype|expected scalar type|to have the same dtype|"
        r"same dtype, but)",
        "dtypes",
        "Tensors of two dtypes met: keep that which came in, and make new ones with dtype=x.dtype.",
    ),
    (
        r"RuntimeError: .*(mat1 and mat2|size mismatch|inconsistent tensor size|1D tensors exp)",
        "matrix product",
        "A matrix product (@, dot, matmul) got axes that do not fit: an entry-by-entry product is "
        "`*`.",
    ),
    (
        r"RuntimeError: Expected target size|ValueError: Expected (input|target).*batch",
        "classes second",
        "cross_entropy and nll_loss want the vocabulary as their second axis, [batch, vocab, time],"
        " and a target without it: gather takes logits as they are.",
    ),
    (
        r"(RuntimeError: probability tensor|ValueError: Expected (parameter|value))",
        "no distribution",
        "A distribution was given numbers that are none: not finite, or below 0.",
    ),
    (
        r"(ValueError: (too many|not enough) values to unpack|TypeError: cannot unpack)",
        "unpacking",
        "The names left of = are not as many as the values right of it: print what comes back.",
    ),
    (
        r"TypeError: '\w+' object is not (callable|iterable|subscriptable)",
        "another kind of thing",
        "Something is called, looped over or indexed that cannot be: was its name used for "
        "something else before?",
    ),
    (
        r"RuntimeError: (shape '.*' is invalid|view size is not compatible)",
        "reshape",
        "A shape was asked for that these numbers do not fill, or cannot be seen in.",
    ),
    (
        r"ZeroDivisionError|OverflowError|ValueError: (math domain error|expected a (posi|non))",
        "outside its domain",
        "Python's own arithmetic refuses what it has no number for: a division by 0, a logarithm "
        "of 0 or below, an exponential too large.",
    ),
    (
        r"RecursionError",
        "calls itself",
        "The function calls itself without end: does it bear the name of what it means to call?",
    ),
    (
        r"(_?LinAlgError|RuntimeError): .*([Ss]ingular|ill-conditioned|not positive|SVD)",
        "no solution",
        "A system of equations without one solution was to be solved: it holds too few different "
        "points, or numbers that are not finite.",
    ),
    (
        r"RuntimeError: .*(INTERNAL ASSERT|[Ii]ntel [Oo]ne?MKL|please report a bug|SLASCL|lapack)",
        "inside the library",
        "torch's linear algebra met numbers that are not finite (inf or nan): what made them?",
    ),
)
INTERNAL = re.compile(r"INTERNAL ASSERT|report a bug|MKL|Parameter \d+ was incorrect")
PREFIX = "library: "
MOST, MOST_READ = 200, 1_000  # characters of a quotation, and of what is looked at


def meaning(error: Mapping[str, Any]) -> tuple[str, str] | None:
    """(a name, what to say) of an exception that a library raised; None of any other.

    error: as `probe.describe_error` has it.
    """
    said = f"{error['kinds'][0]}: {error['message']}"[:MOST_READ]
    for pattern, name, says in MEANINGS:
        if found := re.match(pattern, said, re.DOTALL):
            # What is quoted was written by whoever wrote the answer.
            quoted = {key: clean(text or "", most=MOST) for key, text in found.groupdict().items()}
            return PREFIX + name, says.format(**quoted)
    return None


def first_line(error: Mapping[str, Any]) -> str:
    """An exception in one line: a library's own troubles are not the reader's."""
    kind, text = error["kinds"][0], str(error["message"])[:MOST_READ]
    if INTERNAL.search(text):
        return f"{kind}: raised within the library"
    return f"{kind}: {text.strip().partition(chr(10))[0]}"
