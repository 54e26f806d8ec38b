"""Composes short stories in simple words, from characters, plots and choices."""

import random

from text import capital, spin, with_article

# kind | where it lives | what it likes to eat
KINDS = [row.split("|") for row in """
dragon|a cave in the mountains|roasted chestnuts
cat|a small house by the river|fresh fish
dog|a farm near the village|crunchy bones
mouse|an old barn|crumbs of cheese
rabbit|a burrow in the meadow|sweet carrots
fox|a den in the forest|wild berries
bear|a cave in the woods|golden honey
owl|a hollow tree|ripe nuts
bird|a nest in a tall tree|sunflower seeds
frog|a green pond|tiny flies
horse|a stable on a hill|juicy apples
elephant|a wide green valley|sweet fruit
lion|the dry plains|cool melons
monkey|a tall palm tree|yellow bananas
penguin|an island of ice|little fish
turtle|a quiet beach|fresh leaves
whale|the deep blue sea|tiny shrimps
wolf|the snowy hills|warm stew
squirrel|an old oak tree|brown acorns
hedgehog|a garden full of flowers|red apples
duck|a lake with clear water|soft bread
bee|a hive under the roof|sweet nectar
butterfly|a garden behind the school|flower juice
robot|a workshop in the city|drops of oil
princess|a castle on a hill|strawberry cake
prince|a castle by the sea|warm pancakes
king|a great stone castle|plum pudding
queen|a palace with white towers|honey cake
knight|a village near the castle|bread and cheese
wizard|a crooked tower|mushroom soup
witch|a hut in the forest|pumpkin pie
pirate|a ship with red sails|salty biscuits
giant|a house above the clouds|enormous pies
fairy|a rose garden|drops of honey
unicorn|a silver forest|clover
ghost|an old empty house|nothing at all
monster|a dark cellar|old socks
girl|a small village|apple pie
boy|a house near the sea|chocolate cake
farmer|a little farm|potato soup
baker|a narrow street in town|warm bread
teacher|a small town|lemon cake
fisherman|a hut on the shore|fried fish
sailor|a busy harbour|fish soup
old man|a cottage at the edge of the wood|hot soup
old woman|a cottage with a blue door|ginger biscuits
child|a house with a red roof|cherries
astronaut|a station far above the Earth|dried plums
scientist|a house full of machines|cheese sandwiches
snowman|a white garden|cold ice cream
star|the night sky|moonlight
programmer|a small room full of computers|pizza
""".strip().splitlines()]

NAMES = {
    "he": "Tom Max Leo Finn Oscar Hugo Bruno Milo Otto Felix Barney Rufus Toby Jasper Pip Sam Ned Karl Arthur Gus".split(),
    "she": "Lily Mia Rosa Daisy Luna Nell Ruby Clara Tilly Ida Hazel Molly Poppy Greta Wanda Nora Ella Flora Maya Bea".split(),
}
HE_ONLY = {"prince", "king", "boy", "old man", "fisherman", "snowman", "wizard"}
SHE_ONLY = {"princess", "queen", "girl", "old woman", "witch", "fairy"}

TRAITS = "brave shy curious kind clever lazy cheerful lonely gentle proud quiet little young funny patient dreamy".split()
THINGS = ("{golden key|red ball|silver ring|blue hat|favourite book|little bell|"
          "warm scarf|old map|shiny coin|wooden flute|green umbrella|music box}")
SKILLS = ("{swim|dance|sing|read|fly a kite|ride a bicycle|play the flute|paint|"
          "climb trees|bake bread|whistle|juggle|skate|write}")
FEARS = "{the dark|deep water|thunder|high places|loud noises|being alone|the old forest|strangers}"

OPENINGS = [
    "{Once upon a time|Once|Long ago|Many years ago}, {there was|there lived} <a_trait_kind> {called|named} <Name>. <He> lived in <home>.",
    "<Name> was <a_trait_kind> who lived in <home>.",
    "In <home> there lived <a_trait_kind> {called|named} <Name>.",
    "{Far away|Not far from here}, in <home>, lived <a_trait_kind>. <His> name was <Name>.",
]
LIKES = [
    "<He> {liked|loved} to eat <food> and to {watch the clouds|listen to the rain|look at the stars|tell jokes|sing in the morning}.",
    "Every {morning|day|evening} <he> {went for a walk|sang a little song|looked out over the land}{| and ate <food>}.",
    "Everyone {knew|liked} <Name>, because <he> was always {friendly|polite|ready to help|in a good mood}.",
    "",
]

PLOTS = {
    "lost": [
        "One {day|morning|evening}, <Name> {lost|could not find} <his> <thing>. <He> was very {sad|upset|worried}.",
        "<He> looked {under the bed|behind the door|in the garden|under a big stone}, but it was not there. <He> looked {by the river|near the well|in the tall grass|along the path}, but it was not there either.",
        "Then <he> met <a_helper> {called|named} <Friend>. \"{Why do you look so sad|What is the matter|What are you looking for}?\" asked <Friend>. \"I have lost my <thing>,\" said <Name>.",
        "\"{Do not worry|Do not give up|Cheer up},\" said <Friend>. \"{Let us look together|I will help you|Two can search better than one}.\" They {searched|looked} all {day|afternoon|morning}.",
        "At last <Friend> {saw something shining|found something} {in a nest|between two roots|under a bush|at the bottom of a basket}. It was the <thing>!",
        "<Name> {jumped for joy|laughed with happiness|was full of joy}. \"{Thank you|Thank you so much}, <Friend>!\" <he> said. From that day on, they were {best friends|good friends}.",
    ],
    "friend": [
        "But <Name> had {no friends|nobody to play with}, and <he> often felt {lonely|sad}.",
        "One {day|morning}, <he> {heard|noticed} {a soft voice|someone crying|a strange sound} {behind a tree|near the river|at the gate}. It was <a_helper> {called|named} <Friend>.",
        "\"{Who are you|What is wrong}?\" asked <Name>. \"I am <Friend>. {I am new here and I do not know anyone|I have lost my way|Nobody wants to play with me},\" {said|answered} <Friend>.",
        "\"{Then stay with me|You can play with me|Come with me},\" said <Name>. {They played until the sun went down.|They shared <food> and told each other stories.|They built a little house out of sticks.}",
        "{When evening came|When the stars came out}, <Friend> {smiled|said with a smile}, \"{Today I found a friend|This was the best day of my life}.\"",
        "<Name> was never lonely again. {The two met every day|They stayed friends for the rest of their lives}.",
    ],
    "fear": [
        "But <Name> had a secret: <he> was afraid of <fear>.",
        "One {stormy|dark|cold} {night|evening}, <he> heard a cry for help. It was <his> friend <Friend>, <a_helper>, who {was stuck|had fallen|was trapped} {in a deep hole|on the other side of the hill|under a fallen branch}.",
        "<Name> {trembled|was very afraid|felt <his> heart beat fast}. To reach <Friend>, <he> had to face <fear>. \"{I must be brave|My friend needs me|I can do this},\" <he> {said to <himself>|whispered}.",
        "<He> took a deep breath and {went on|walked forward}, step by step. {It was not as bad as <he> had thought.|With every step <he> felt a little stronger.}",
        "At last <he> {found|reached} <Friend> and {pulled <friend_him> out|helped <friend_him> get free|brought <friend_him> home}. \"{You are so brave|You saved me}!\" said <Friend>.",
        "<Name> {smiled|was proud}. <He> had learned that being brave means {doing the right thing even when you are afraid|helping others even when you are scared}.",
    ],
    "skill": [
        "More than anything, <Name> wanted to learn to <skill>. But every time <he> tried, it {went wrong|did not work}.",
        "The others laughed. \"{You will never learn it|Give up},\" they said. <Name> felt {sad|ashamed}, but <he> did not {give up|stop}.",
        "<He> asked <a_helper> {called|named} <Friend> for {help|advice}. \"{Practise a little every day|Start slowly and be patient|Do not be afraid of mistakes},\" said <Friend>.",
        "So <Name> {practised|tried again} every {morning|day}. The first week was hard. The second week was {a little easier|better}.",
        "One day, {there was a great feast|everyone came together}, and <Name> showed what <he> could do. {Nobody laughed this time|Everyone was amazed|Everyone clapped}.",
        "\"How did you learn to <skill> so well?\" they asked. \"{I never stopped trying|I practised every day},\" said <Name>{ with a smile|}.",
    ],
    "share": [
        "One {cold winter|hard year|rainy autumn}, there was very little to eat. <Name> had only {one small basket|a little bag} of <food> left.",
        "{One evening|One night}, <a_helper> {knocked at the door|came along the road}. <Friend_his_cap> name was <Friend>, and <friend_he> was {cold and hungry|tired and hungry}.",
        "\"{Could you give me something to eat|May I rest here}?\" asked <Friend>. <Name> {thought for a moment|looked at the last of the food}. Then <he> {shared everything <he> had|gave <Friend> half of it}.",
        "In the morning <Friend> was gone. {<Name> did not mind.|<Name> was hungry, but <he> was glad that <he> had helped.}",
        "When spring came, <Friend> came back with {a cart full of good things|a bag of seeds|many friends}. \"{You helped me when I had nothing|You were kind to me},\" <friend_he> said. \"Now I want to help you.\"",
        "From then on, {nobody in that place was ever hungry again|they always shared what they had}. {Kindness always finds its way back.|A gift that is shared grows larger.}",
    ],
    "journey": [
        "<Name> had never seen {the sea|the great mountain|the big city|the snow}. \"{I want to see it with my own eyes|One day I will go there},\" <he> said.",
        "So one {morning|day}, <he> packed {some <food>|a small bag}, said goodbye, and {set out|left}.",
        "The road was long. First <he> crossed {a wide river|a dark forest|a green valley}. Then <he> climbed {a steep hill|over high rocks}. At night <he> slept under {the stars|a tree}.",
        "On the way <he> met <a_helper> {called|named} <Friend>. \"{May I come with you|Where are you going}?\" asked <Friend>. They went on together, and the road {seemed shorter|was more fun}.",
        "At last they {arrived|were there}. It was {more beautiful than <Name> had ever dreamed|bigger and brighter than anything they had seen}. They {sat down and looked for a long time|danced for joy}.",
        "When <Name> came home, <he> told everyone about the journey. But the best thing <he> had found was {a friend|<his> new friend <Friend>}.",
    ],
    "truth": [
        "One {day|afternoon}, <Name> was playing {inside|near the window}, although it was not allowed. Crash! <He> had broken {a beautiful vase|the big mirror|the blue lamp}.",
        "<Name> was {afraid|frightened}. <He> hid the pieces {under the carpet|behind a chest}.",
        "Soon <Friend>, <a_helper>, {came in|came home}. \"{What happened here|Who did this}?\" <friend_he> asked. \"{I do not know|It was the wind},\" said <Name>.",
        "But that night <Name> could not sleep. {The lie felt like a heavy stone.|<He> kept thinking about the lie.}",
        "In the morning <he> went to <Friend> and said, \"{I broke it|It was me}. I am sorry.\" <Friend> looked at <him> and {smiled|nodded}. \"{Thank you for telling the truth|It takes courage to tell the truth},\" <friend_he> said.",
        "Together they {glued the pieces|cleaned up}. <Name> felt {light and happy|much better} again, and <he> never {forgot that day|told a lie again}.",
    ],
    "treasure": [
        "One day, <Name> found an old map {in a bottle|in the attic|under a stone}. A red cross marked {a treasure|the place of a treasure}!",
        "<He> showed it to <his> friend <Friend>, <a_helper>. \"{Let us find it|We must go and look},\" {said|cried} <Friend>.",
        "They followed the map {through the forest|across the river|over the hills} and {past the old mill|through a narrow gate|around a dark lake}. {It began to rain, but they went on.|They got lost twice, but they did not give up.}",
        "At the place of the cross they dug {a deep hole|all afternoon}. At last they found {an old chest|a wooden box}.",
        "Inside there was no gold. There was only {a letter|a piece of paper}. It said: \"{The real treasure is the friend who came with you|You have walked far together, and that is the treasure}.\"",
        "<Name> and <Friend> looked at each other and laughed. {They went home arm in arm.|Then they shared <food> and watched the sunset.}",
    ],
    "bird": [
        "One {day|morning}, <Name> found a small bird with a {hurt|broken} wing. It could not fly.",
        "<He> carried it home and {made a soft bed of leaves|put it in a warm box}. Every day <he> gave it {water and seeds|food and fresh water}.",
        "<His> friend <Friend>, <a_helper>, said, \"{It will be well soon|You are taking good care of it}.\" And so it was. After {two weeks|a month}, the bird {could fly again|flapped its wings}.",
        "<Name> was a little sad, but <he> {opened the window|took it outside}. The bird flew {up into the blue sky|away over the trees}.",
        "{Some time later|In the autumn}, <Name> lost <his> way in {a thick fog|the deep forest}. Suddenly <he> heard a song. It was the bird! It flew ahead and showed <him> the way home.",
        "\"Thank you, little friend,\" said <Name>. {Those who help others are never alone.|<He> never forgot that a small kindness can come back.}",
    ],
    "quarrel": [
        "<His> best friend was <a_helper> {called|named} <Friend>. They did everything together.",
        "But one day they both wanted the same <thing>. \"{It is mine|I saw it first}!\" cried <Name>. \"{No, it is mine|That is not fair}!\" cried <Friend>. They {shouted at each other|pulled at it until it fell into the mud}, and then they went home {angry|without a word}.",
        "<Name> sat alone. {The day was long and dull.|Even <food> did not taste good.} \"{What is a <thing> without a friend|I miss <Friend>}?\" <he> thought.",
        "So <he> {got up and went to|walked over to} <Friend>. On the way they met, for <Friend> had had the same idea.",
        "\"I am sorry,\" said <Name>. \"I am sorry too,\" said <Friend>. They {hugged|laughed}, and {from then on they took turns|they agreed to share the <thing>}.",
        "And {they never fought about it again|they stayed friends for a long, long time}.",
    ],
    "race": [
        "One {summer|spring}, there was a big race. The prize was a <thing>. <Friend>, <a_helper>, was {the fastest of all|sure to win}. \"{Nobody can beat me|I will win easily},\" said <Friend>.",
        "<Name> was not very fast, but <he> wanted to try. {Everyone came to watch.|The whole village came to watch.} \"Ready, steady, go!\"",
        "<Friend> ran {far ahead|like the wind}. But halfway, <friend_he> {stopped to rest|tripped over a root and fell|stopped to wave at the crowd}.",
        "<Name> came along. {<He> could have run past, but <he> stopped.|<He> saw what had happened and stopped.} \"{Are you all right|Come, get up},\" <he> said, and {gave <Friend> a hand|helped <friend_him> up}.",
        "In the end, they crossed the line {together|side by side}, and the {crowd|people} cheered. They {shared the prize|both got a prize}.",
        "\"{Winning is nice|It is good to win},\" said <Friend>, \"but {having a friend is nicer|a good friend is better}.\"",
    ],
    "garden": [
        "One {spring|day}, <Name> found {a strange seed|a tiny seed} {on the path|in an old box}. <He> planted it {in the garden|in a pot} and gave it some water.",
        "The next day <he> looked, but there was nothing. The day after, there was still nothing. \"{Perhaps it is a bad seed|Why does it not grow},\" <he> said{| sadly}.",
        "<Friend>, <a_helper>, {came by|passed by}. \"{Be patient|Give it time},\" <friend_he> said. \"{Good things grow slowly|Every plant needs sun, water and time}.\"",
        "So <Name> waited. <He> watered the seed every day. {The rain came, and the sun came.|A week went by, and then another.}",
        "One morning there was a small green {shoot|leaf}. It grew and grew, until it was {a beautiful flower|a tall tree full of fruit|a great sunflower}.",
        "<Name> was {proud and happy|full of joy}. \"{Thank you for the good advice|You were right}, <Friend>,\" <he> said. {And they sat together in its shade.|And everyone came to see it.}",
    ],
    "star": [
        "One {clear|quiet} night, <Name> saw a little light fall from the sky. It {landed|came down} {in the grass|behind the house}. It was a small star!",
        "\"{I fell down, and I cannot get back|I have lost my place in the sky},\" said the star. {Its light was weak.|It was shivering.}",
        "<Name> wanted to help. <He> asked <Friend>, <a_helper>, what to do. \"{Take it to the highest hill|We must climb the tallest mountain},\" said <Friend>.",
        "All night they climbed. {The wind was cold|The path was steep}, but the star gave them {a little light|some warmth}.",
        "At the top, <Name> lifted the star as high as <he> could. {A soft wind came|It grew brighter and brighter}, and it rose up into the sky.",
        "Since then, one star {shines a little brighter|winks} when <Name> looks up. {And <Name> always waves back.|It is saying thank you.}",
    ],
}

ENDINGS = ["", "", "{The end.|And they lived happily ever after.}"]


class Story:
    """One story: its hero, helper and plot are drawn, or given by a topic."""

    def __init__(self, rng: random.Random, kind: str | None = None,
                 name: str | None = None) -> None:
        self.rng = rng
        row = next((k for k in KINDS if k[0] == kind), None) or rng.choice(KINDS)
        helper = rng.choice([k for k in KINDS if k[0] != row[0]])[0]
        self.kind = row[0]
        he, friend_he = self._pronoun(row[0]), self._pronoun(helper)
        trait = rng.choice(TRAITS)
        friend_trait = rng.choice(TRAITS)
        self.name = name or rng.choice(NAMES[he])
        friend = rng.choice([n for n in NAMES[friend_he] if n != self.name])
        his, him = ("his", "him") if he == "he" else ("her", "her")
        self.slots = {
            "Name": self.name, "home": row[1], "food": row[2],
            "a_trait_kind": with_article(f"{trait} {row[0]}"),
            "a_helper": with_article(rng.choice([helper, f"{friend_trait} {helper}"])),
            "Friend": friend, "he": he, "He": capital(he), "his": his,
            "His": capital(his), "him": him, "himself": him + "self",
            "friend_he": friend_he, "friend_him": "him" if friend_he == "he" else "her",
            "Friend_his_cap": "His" if friend_he == "he" else "Her",
            "thing": spin(rng, THINGS), "skill": spin(rng, SKILLS), "fear": spin(rng, FEARS),
        }
        plot = PLOTS[rng.choice(sorted(PLOTS))]
        parts = [rng.choice(OPENINGS) + " " + rng.choice(LIKES), *plot, rng.choice(ENDINGS)]
        self.parts = [text for part in parts if (text := self._filled(part))]

    def _pronoun(self, kind: str) -> str:
        if kind in HE_ONLY:
            return "he"
        return "she" if kind in SHE_ONLY else self.rng.choice(["he", "she"])

    def _filled(self, part: str) -> str:
        text = spin(self.rng, part)
        for slot, value in self.slots.items():
            text = text.replace(f"<{slot}>", value)
        return text.strip()

    def text(self) -> str:
        """The whole story, in two to four paragraphs."""
        cuts = set(self.rng.sample(range(1, len(self.parts)), self.rng.choice([0, 1, 2, 3])))
        text = self.parts[0]
        for index, part in enumerate(self.parts[1:], 1):
            text += ("\n\n" if index in cuts else " ") + part
        return text

    def short(self) -> str:
        """The story without its middle, for those who ask for a short one."""
        return " ".join(self.parts[:2] + self.parts[-2:])


if __name__ == "__main__":
    print(Story(random.Random()).text())
