"""Sports: camping, fitness, cycling."""

from demo.vocabulary import Department, leaf

DEPARTMENT = Department(
    brands={
        "Peakform": 1.45, "Trailborn": 1.25, "Alpira": 1.15, "Ridgeway": 1.0,
        "Motiva": 1.0, "Pedalo": 1.05, "Campster": 0.75, "Fitloop": 0.65,
    },
    leaves=(
        leaf(
            "Sports > Camping > Tents", 140,
            nouns="tent, dome tent",
            words="camping shelter, canvas shelter, bivouac, canvas home",
            needs="sleep outdoors with my family, stay dry overnight at a festival, "
            "weekend in the woods, roof over my head on a trek",
            varies="size",
            size="1 person, 2 person, 4 person, 6 person", colour="green, orange, blue",
            feature="waterproof, lightweight, pop up", use="festival, trekking, family trips",
        ),
        leaf(
            "Sports > Camping > Sleeping Bags", 68,
            nouns="sleeping bag, mummy bag",
            words="camp bedding, outdoor duvet, sleep sack, camping quilt",
            needs="stay warm at night outdoors, sleep on the ground in cold weather, "
            "my feet freeze when camping, bedding for a mountain hut",
            colour="blue, green, red, grey", season="summer, 3 season, winter",
            material="down, polyester, cotton", feature="lightweight, compact, extra wide",
        ),
        leaf(
            "Sports > Camping > Headlamps", 29,
            nouns="headlamp, led headlamp",
            words="head torch, forehead light, miners light, head flashlight",
            needs="see the path when jogging in the dark, hands free light for night repairs, "
            "walk the dog after sunset, read a map at night",
            colour="black, orange, blue", brightness="200 lumen, 400 lumen, 800 lumen",
            feature="rechargeable, waterproof, lightweight", use="running, camping, climbing",
        ),
        leaf(
            "Sports > Camping > Hiking Backpacks", 88,
            nouns="hiking backpack, trekking pack",
            words="rucksack, knapsack, haversack, mountain bag",
            needs="carry my gear for a week in the mountains, pack for a long trail, "
            "carry food and clothes on my shoulders, day trip up a hill with the kids",
            colour="black, green, blue, orange", capacity="20 l, 35 l, 50 l, 65 l",
            feature="waterproof, lightweight, padded", fit="women, men, kids",
        ),
        leaf(
            "Sports > Fitness > Yoga Mats", 30,
            nouns="yoga mat, exercise mat",
            words="pilates pad, gym pad, workout rug, stretching pad",
            needs="stretch at home on a hard floor, do sit ups without hurting my back, "
            "stop sliding during downward dog, meditation on the floor",
            colour="purple, black, blue, pink, green", material="cork, natural rubber, pvc",
            thickness="4 mm, 6 mm, 10 mm", feature="non-slip, foldable, extra long",
        ),
        leaf(
            "Sports > Fitness > Dumbbells", 46,
            nouns="dumbbell, hand weight",
            words="barbell, lifting weights, free weights, iron weights",
            needs="build muscle at home, get stronger arms, "
            "lift something heavy in my garage, train biceps without a gym",
            varies="weight",
            weight="2 kg, 5 kg, 10 kg, 20 kg", material="cast iron, neoprene, rubber",
            feature="adjustable, hexagonal, non-slip", pack="single, pair",
        ),
        leaf(
            "Sports > Fitness > Resistance Bands", 19,
            nouns="resistance band, exercise band",
            words="workout elastic, stretch loop, elastic gym rope, fitness rubber",
            needs="train legs while travelling, recover after a knee injury, "
            "work out in a hotel room, gentle strength training for seniors",
            varies="resistance",
            resistance="light, medium, heavy", material="latex, fabric",
            feature="non-slip, with handles, skin friendly", pack="single, set of 3, set of 5",
        ),
        leaf(
            "Sports > Cycling > Bikes", 520,
            nouns="bike, bicycle",
            words="cycle, two wheeler, pushbike, velocipede",
            needs="ride to work every day, pedal through the forest, "
            "get around town without a car, weekend rides along the river",
            colour="black, red, blue, green", type="mountain, road, city, folding",
            frame="small frame, medium frame, large frame", material="aluminium, steel, carbon",
            feature="electric, lightweight, with basket",
        ),
        leaf(
            "Sports > Cycling Gear > Bike Lights", 25,
            nouns="bike light, bicycle lamp",
            words="cycle lamp, front beam, cycling torch, rear flasher",
            needs="be seen by cars at night, ride home safely after dark, "
            "see potholes when pedalling in winter, be visible on the road when cycling",
            varies="position", goes_with="Bikes",
            position="front, rear, front and rear", brightness="50 lumen, 200 lumen, 600 lumen",
            feature="rechargeable, waterproof, magnetic", colour="black, silver",
        ),
        leaf(
            "Sports > Cycling Gear > Bike Helmets", 55,
            nouns="bike helmet, cycling helmet",
            words="crash hat, head protection, skull guard, hard hat for cycling",
            needs="protect my head when riding, keep my child safe on two wheels, "
            "survive a crash on the trail, headgear for my commute on two wheels",
            goes_with="Bikes",
            colour="black, white, red, yellow", size="small, medium, large",
            feature="lightweight, with visor, with light", fit="women, men, kids",
        ),
    ),
)  # fmt: skip
