"""Go templates: what people write for --format, and what docker answers."""

from __future__ import annotations

from typing import Any

import pytest

from minirun.cli.template import TemplateError, compile_template

DATA: dict[str, Any] = {
    "Id": "abc",
    "Name": "/box",
    "State": {"Status": "running", "Running": True, "Paused": False, "Pid": 12, "Error": ""},
    "Labels": {"a": "b", "c": "d"},
    "Empty": {},
    "Ports": {
        "443/tcp": None,
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
    },
    "Args": ["x", "y", "z"],
    "None": None,
    "Ratio": 1.5,
    "Big": 1e21,
    "Text": 'line\t"q" <é>',
}


def rendered(template: str) -> str:
    return compile_template(template).render(DATA)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        # text and fields
        ("plain", "plain"),
        ("{{.Id}}", "abc"),
        ("{{ .Id }}-{{.Name}}", "abc-/box"),
        ("{{.State.Status}}", "running"),
        ("{{(.State).Status}}", "running"),
        ("{{$.State.Status}}", "running"),
        ("{{.State.Pid}} {{.State.Running}} {{.Ratio}} {{.Big}}", "12 true 1.5 1e+21"),
        ("{{.None}}", "<no value>"),
        ("{{.Labels.nothing}}", "<no value>"),
        ("{{.Args}}", "[x y z]"),
        ("{{.Labels}}", "map[a:b c:d]"),
        # literals
        ('{{"a\\tb\\x41\\u00e9\\"q\\""}}', 'a\tbAé"q"'),
        ("{{`raw\\n`}}", "raw\\n"),
        ("{{'a'}} {{0x10}} {{-3}} {{1.5}} {{true}}", "97 16 -3 1.5 true"),
        # trimming and comments
        ("a {{- .Id -}} b", "aabcb"),
        ("a {{/* {{ nothing }} */}} b", "a  b"),
        ("a\n{{- /* nothing */ -}}\nb", "ab"),
        ("{{-3}}", "-3"),
        # json and functions of docker
        ("{{json .State}}", '{"Status":"running","Running":true,"Paused":false,"Pid":12,"Error":""}'),
        ("{{.Args | json}}", '["x","y","z"]'),
        ("{{json .Text}}", '"line\\t\\"q\\" <é>"'),
        ("{{json .None}}", "null"),
        ('{{join .Args ", "}}', "x, y, z"),
        ('{{range split "a:b" ":"}}[{{.}}]{{end}}', "[a][b]"),
        ("{{upper .Id}}{{lower `ABC`}}{{title `ab cd-ef`}}", "ABCabcAb Cd-Ef"),
        ('{{pad "x" 1 2}}|{{pad "" 1 2}}|', " x  ||"),
        ("{{truncate .Name 3}}", "/bo"),
        # functions of Go
        ("{{len .Args}} {{len .Labels}} {{len .Id}} {{len `é`}}", "3 2 3 2"),
        ('{{index .Args 1}} {{index .Labels "a"}} {{index .Labels "nothing"}}|', "y b |"),
        ('{{(index (index .Ports "80/tcp") 0).HostPort}}', "8080"),
        ('{{(index .Ports "80/tcp" 1).HostIp}}', "::"),
        ("{{slice .Id 1}} {{slice .Id 1 2}} {{slice .Args 0 2}}", "bc b [x y]"),
        ("{{print 1 2 `a` `b` 3}}", "1 2a b3".replace("a b", "ab")),
        ('{{println "a" 1}}', "a 1\n"),
        ('{{printf "%s-%d-%v-%q" .Id 7 .Args "x"}}', 'abc-7-[x y z]-"x"'),
        ('{{printf "%-6s|%6s|%05d|%x|%X" .Id .Id 42 255 "hi"}}', "abc   |   abc|00042|ff|6869"),
        ('{{printf "%t|%.2f|%%" true 1.5}}', "true|1.50|%"),
        ('{{printf "%d" "x"}} {{printf "%s"}} {{printf "a" 1}}', "%!d(string=x) %!s(MISSING) a%!(EXTRA int=1)"),
        ('{{.Id | printf "%s %s" "a"}}', "a abc"),
        ('{{printf "%T %T %T %T|%U|%U" .Id 1 true .Args 65 6.5}}', "string int bool []string|U+0041|%!U(float64=6.5)"),
        ('{{printf "%[2]s %[1]s|%d" "a" "b"}}', "b a|%!d(string=b)"),
        ('{{printf "%..3d" 5}}|{{printf "%5*d" 3 5}}', "%!.(int=5)3d|%!*(int=3)d%!(EXTRA int=5)"),
        ('{{printf "%1-d" 5}}|{{printf "%.1.2d" 5}}|{{printf "%5.5.5s" "x"}}', "%!-(int=5)d|%!.(int=5)2d|%!.(string=x)5s"),
        ('{{printf "%999999999d" 5}}|{{printf "%*d" 999999999 5}}', "%!(NOVERB)%!(EXTRA int=5)|%!(BADWIDTH)5"),
        ('{{printf "%.*d" "x" 5}}|{{printf "%.*d" -3 5}}|{{printf "%*d" -3 5}}.', "%!(BADPREC)5|%!(BADPREC)5|5  ."),
        ('{{printf "%[1"}}|{{printf "%[x]d" 5}}|{{printf "%[2]*[1]d" 5 3}}', "%!(NOVERB)|%!d(BADINDEX)|  5"),
        ('{{printf "%[1]2d %[9]d" 5}}|{{printf "%.2s|%5.1s|" "abc" "abc"}}', "%!d(BADINDEX) %!d(BADINDEX)|ab|    a|"),
        ('{{printf "%+05d|%-+5d|%05.2d|%.d|%#x|%#o|%+b" 5 5 5 0 255 8 5}}', "+0005|+5   |   05||0xff|010|+101"),
        ('{{printf "%c|%c" 99999999999 233}}|{{index "é" 1}}', "\ufffd|é|169"),
        ('{{printf "%*d|% x|%#v|%q" 5 3 "hi" "a" .Args}}', '    3|68 69|"a"|["x" "y" "z"]'),
        ("{{017}} {{-017}} {{0}} {{0o17}}", "15 -15 0 15"),
        ("{{html .Text}}", "line\t&#34;q&#34; &lt;é&gt;"),
        ("{{urlquery `a b`}}", "a+b"),
        # logic
        ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
        ("{{if .State.Paused}}a{{else if .None}}b{{else if .Id}}c{{else}}d{{end}}", "c"),
        ("{{if .Empty}}a{{end}}{{if .State.Error}}b{{end}}{{if 0}}c{{end}}", ""),
        ('{{if eq .State.Status "exited" "running"}}y{{end}}', "y"),
        ("{{eq 1 1}} {{ne 1 2}} {{lt 1 2}} {{le 2 2}} {{gt 3 2}} {{ge 1 2}} {{lt `a` `b`}} {{eq .None nil}}",
         "true true true true true false true true"),
        ("{{and 1 0 2}} {{or 0 `` 3}} {{not 1}}", "0 3 false"),
        ("{{and .None .State.Nothing}}", "<no value>"),  # what isn't needed isn't looked at
        # with, range, variables
        ("{{with .State}}{{.Pid}}{{end}}{{with .None}}a{{else}}b{{end}}", "12b"),
        ("{{with .None}}a{{else with .Id}}{{.}}{{end}}", "abc"),
        ("{{range .Args}}{{.}},{{end}}", "x,y,z,"),
        ("{{range .Empty}}a{{else}}none{{end}}{{range .None}}a{{else}}none{{end}}", "nonenone"),
        ("{{range $i, $e := .Args}}{{if $i}}, {{end}}{{$e}}{{end}}", "x, y, z"),
        ("{{range $e := .Args}}{{$e}}{{$.Id}}{{end}}", "xabcyabczabc"),
        ("{{range $p, $b := .Ports}}{{$p}}{{range $b}} {{.HostIp}}:{{.HostPort}}{{end}};{{end}}",
         "443/tcp;80/tcp 0.0.0.0:8080 :::8080;"),
        ("{{range $k, $v := .Labels}}{{$k}}={{$v}} {{end}}", "a=b c=d "),
        ("{{range 3}}{{.}}{{end}}", "012"),
        ("{{range .Args}}{{if eq . `y`}}{{break}}{{end}}{{.}}{{end}}", "x"),
        ("{{range .Args}}{{if eq . `y`}}{{continue}}{{end}}{{.}}{{end}}", "xz"),
        ("{{$x := .Id}}{{$x}}{{$x = `new`}}{{$x}}", "abcnew"),
        ("{{$x := 1}}{{range .Args}}{{$x = .}}{{end}}{{$x}}", "z"),
        ("{{$x := 1}}{{if true}}{{$x := 2}}{{$x}}{{end}}{{$x}}", "21"),
        ("{{with $x := .State}}{{$x.Pid}}{{end}}", "12"),
    ],
)  # fmt: skip
def test_a_template_says(template: str, text: str) -> None:
    assert rendered(template) == text


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{{.ID", "template: :1: unclosed action"),
        ("{{", "template: :1: unclosed action"),
        ("a\n{{.ID", "template: :2: unclosed action"),
        ("{{foo}}", 'template: :1: function "foo" not defined'),
        ("{{.ID | foo}}", 'template: :1: function "foo" not defined'),
        ("{{range .Args}}", "template: :1: unexpected EOF"),
        ("{{if 1}}{{else}}", "template: :1: unexpected EOF"),
        ("{{if 1}}{{else}}{{else}}{{end}}", "template: :1: expected end; found {{else}}"),
        ("{{end}}", "template: :1: unexpected {{end}}"),
        ("{{else}}", "template: :1: unexpected {{else}}"),
        ("{{if}}{{end}}", "template: :1: missing value for if"),
        ("{{}}", "template: :1: missing value for command"),
        ("{{.Id |}}", "template: :1: missing value for command"),
        ("{{$x}}", 'template: :1: undefined variable "$x"'),
        ("{{if true}}{{$x := 1}}{{end}}{{$x}}", 'template: :1: undefined variable "$x"'),
        ("{{(.Id}}", "template: :1: unclosed left paren"),
        ("{{.Id)}}", "template: :1: unexpected"),
        ('{{"abc}}', "template: :1: unterminated quoted string"),
        ("{{`abc}}", "template: :1: unterminated raw quoted string"),
        ("{{/* abc }}", "template: :1: unclosed comment"),
        ("{{1x}}", 'template: :1: bad number syntax: "1x"'),
        ("{{1 2}}", "template: :1: can't give argument to non-function 1"),
        ("{{.Id | 1}}", "template: :1: non executable command in pipeline"),
        ("{{?}}", "template: :1: unexpected U+003F '?' in command"),
        ("{{break}}", "template: :1: {{break}} outside {{range}}"),
        ("{{define `x`}}{{end}}", "template: :1: {{define}} is not supported in --format"),
        ("{{" + "(" * 5000 + "1" + ")" * 5000 + "}}", "template: :1: parentheses nested too deeply"),
        # while filling in
        ("{{.Foo}}", 'template: :1:2: executing "" at <.Foo>: map has no entry for key "Foo"'),
        ("{{.State.Foo}}", 'template: :1:8: executing "" at <.State.Foo>: map has no entry for key "Foo"'),
        ("{{.Id.Foo}}", 'executing "" at <.Id.Foo>: can\'t evaluate field Foo in type string'),
        ("{{.None.Foo}}", 'executing "" at <.None.Foo>: nil data; no entry for key "Foo"'),
        ("{{index .Args 5}}", "error calling index: index out of range: 5"),
        ("{{index .None 0}}", "error calling index: index of untyped nil"),
        ("{{index .Args `a`}}", "error calling index: cannot index slice/array with type str"),
        ("{{len 3}}", "error calling len: len of type int"),
        ("{{lt 1 `a`}}", "error calling lt: incompatible types for comparison"),
        ("{{eq .Args .Args}}", "error calling eq: non-comparable type"),
        ("{{eq 1}}", "error calling eq: missing argument for comparison"),
        ("{{upper 1}}", "error calling upper: wrong type for value; expected string; got int"),
        ("{{upper}}", "at <upper>: wrong number of args for upper: want 1 got 0"),
        ("{{.Id | upper `a`}}", "at <upper>: wrong number of args for upper: want 1 got 2"),
        ("{{split `a`}}", "at <split>: wrong number of args for split: want 2 got 1"),
        ("{{and}}", "at <and>: wrong number of args for and: want at least 1 got 0"),
        ("{{1e400}}", 'template: :1: illegal number syntax: "1e400"'),
        ("{{99999999999999999999}}", 'template: :1: integer overflow: "99999999999999999999"'),
        ("{{printf}}", "at <printf>: wrong number of args for printf: want at least 1 got 0"),
        ("{{pad `a` `b` 1}}", "error calling pad: wrong type for value; expected int; got string"),
        ("{{index .Labels 1}}", "error calling index: value has type int; should be string"),
        ("{{eq 1 1.0}}", "error calling eq: incompatible types for comparison"),
        ("{{nil}}", "at <nil>: nil is not a command"),
        ("{{range .Id}}{{end}}", "range can't iterate over abc"),
        ("{{`a` | .Id}}", "can't give argument to non-function .Id"),
        ("{{slice .Id 2 1}}", "error calling slice: invalid slice index: 2 > 1"),
    ],
)
def test_a_wrong_template_is_refused_in_dockers_words(template: str, sentence: str) -> None:
    with pytest.raises(TemplateError) as caught:
        rendered(template)
    assert str(caught.value).startswith("template parsing error: template: :")
    assert sentence in str(caught.value)
    assert caught.value.exit_code == 1


def test_a_field_may_take_an_argument() -> None:
    template = compile_template('{{.Label "a"}}{{.Label "nothing"}}')
    assert template.render({"Label": lambda name: DATA["Labels"].get(name, "")}) == "b"
    with pytest.raises(TemplateError, match="wrong number of args for Label: want 1 got 0"):
        compile_template("{{.Label}}{{.Label 1}}").render({"Label": lambda name: name})


def test_bytes_that_are_not_text_pass_through() -> None:
    assert compile_template("{{.X}}{{json .X}}").render({"X": "\udcff"}) == '\udcff"\udcff"'
